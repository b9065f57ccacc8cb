{{/* What every pod has: hardening by the pod security standard `restricted`, probes, scheduling rules. */}}

{{/*
The part of a pod's spec outside of its containers. Arguments: `root`; for a pod that uses the API of the cluster, the name of its
`serviceAccount`, and `token: true`.
*/}}
{{- define "chassis.pod" -}}
{{- $values := .root.Values -}}
serviceAccountName: {{ .serviceAccount | default (include "chassis.fullname" .root) }}
automountServiceAccountToken: {{ .token | default false }}
# Otherwise a Service called users would set variables like USERS_PORT, which the programs would read.
enableServiceLinks: false
# The drain delay, 30 s for requests in flight, 20 s for the store, and a margin.
terminationGracePeriodSeconds: {{ add $values.drainDelaySeconds 60 }}
securityContext:
  runAsNonRoot: true
  runAsUser: {{ $values.runAsUser }}
  runAsGroup: {{ $values.runAsUser }}
  fsGroup: {{ $values.runAsUser }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with dig "imagePullSecrets" list ($values.global | default dict) }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "chassis.container" -}}
{{ include "chassis.image-and-rights" . }}
resources: {{- toYaml .Values.resources | nindent 2 }}
{{- end -}}

{{- define "chassis.image-and-rights" -}}
image: {{ include "chassis.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end -}}

{{/* Probes of the port with this name. The checks of /health/ready may themselves take 2 s. */}}
{{- define "chassis.probes" -}}
startupProbe: # a large store is read before the port opens
  httpGet: {path: /health/live, port: {{ . }}}
  periodSeconds: 1
  failureThreshold: 120
livenessProbe:
  httpGet: {path: /health/live, port: {{ . }}}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 3
readinessProbe:
  httpGet: {path: /health/ready, port: {{ . }}}
  periodSeconds: 3
  timeoutSeconds: 4
  failureThreshold: 2
{{- end -}}

{{/* A map of variables as a list. */}}
{{- define "chassis.env" -}}
{{- range $name, $value := . }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- end -}}

{{- define "chassis.serviceaccount" -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ include "chassis.fullname" . }}
  labels: {{- include "chassis.labels" . | nindent 4 }}
automountServiceAccountToken: false
{{- end -}}
