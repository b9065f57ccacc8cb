{{/* What the Jobs of a release have in common. */}}

{{/*
Annotations of what exists only while an operation begins. Arguments: `events`, of which operations; `weight`, lower ones first. A Job
that fails remains, and helm prints its log.
*/}}
{{- define "chassis.hook" -}}
helm.sh/hook: {{ .events }}
helm.sh/hook-weight: {{ .weight | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
helm.sh/hook-output-log-policy: hook-failed
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
