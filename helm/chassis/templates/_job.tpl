{{/* What the Jobs of a release have in common. */}}

{{/* Annotations of what runs before an installation or an upgrade. Argument: its place in the order, lower ones first. */}}
{{- define "chassis.hook" -}}
helm.sh/hook: pre-install,pre-upgrade
helm.sh/hook-weight: {{ . | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end -}}

{{/* How long a Job may take, and what becomes of it. */}}
{{- define "chassis.job" -}}
backoffLimit: 3
activeDeadlineSeconds: 240 # in which its image has to be pulled as well
ttlSecondsAfterFinished: 600 # a Job cannot be changed, so that `kubectl apply` can create the next one only when it has gone
{{- end -}}

{{/* The resources of a container that works for a moment. */}}
{{- define "chassis.job-resources" -}}
resources:
  requests: {cpu: 10m, memory: 16Mi}
  limits: {memory: 64Mi}
{{- end -}}
