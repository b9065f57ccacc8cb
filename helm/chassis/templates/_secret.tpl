{{/*
A Secret that is made once and never touched again, by no upgrade, rollback or uninstall: a hook is no part of the
release, and where the Secret is there already, nothing is rendered. `root`, `name`, and `data` with the values in plain
text.

Without a cluster to ask (`helm template`, Argo CD) nothing is known to be there and each rendering has other keys: name
Secrets of your own there (`existingSecret`).
*/}}
{{- define "chassis.generated-secret" -}}
{{- if not (lookup "v1" "Secret" .root.Release.Namespace .name) -}}
apiVersion: v1
kind: Secret
metadata:
  name: {{ .name }}
  labels: {{- include "chassis.labels" .root | nindent 4 }}
  annotations:
    helm.sh/hook: pre-install,pre-upgrade
    helm.sh/resource-policy: keep
type: Opaque
data:
  {{- range $key, $value := .data }}
  {{ $key }}: {{ $value | b64enc }}
  {{- end }}
{{- end -}}
{{- end -}}

{{/* The key that this service shares with the gateway. */}}
{{- define "chassis.internal-key" -}}
{{- if not .Values.internalKey.existingSecret -}}
{{- $name := include "chassis.internal-key-secret" (dict "root" . "name" .Chart.Name) -}}
{{- $key := randAlphaNum 43 -}}{{/* 256 bits: 43 times log2(62) */}}
{{- include "chassis.generated-secret" (dict "root" . "name" $name "data" (dict "internal.key" $key)) -}}
{{- end -}}
{{- end -}}
