{{/* What every pod has: the hardening of the pod security standard `restricted`, probes, where it may run. */}}

{{/* The part of a pod's spec that is not about its containers. `root`, and how long it may take to end. */}}
{{- define "chassis.pod" -}}
{{- $values := .root.Values -}}
serviceAccountName: {{ include "chassis.fullname" .root }}
automountServiceAccountToken: false
# Variables like USERS_PORT, which a Service called users would bring, are not for our programs.
enableServiceLinks: false
# The delay, 30 s for requests in flight, 20 s for the store, and some to spare.
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
image: {{ include "chassis.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
resources: {{- toYaml .Values.resources | nindent 2 }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end -}}

{{/* Probes of the port with this name. A probe behind /health/ready may take 2 s by itself. */}}
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

{{/* A table of variables as a list. */}}
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
