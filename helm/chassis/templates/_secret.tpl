{{/*
A Secret that is generated once, and that no upgrade, rollback or uninstall changes: a hook is not part of the release, and
nothing is rendered if the Secret exists. Arguments: `root`, `name`, and `data` with the values in plain text.

Without access to a cluster (`helm template`, Argo CD) the Secret is never found, and each rendering generates other keys:
name your own Secrets there (`existingSecret`).
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

{{/* The key shared by this service and the gateway. */}}
{{- define "chassis.internal-key" -}}
{{- if not .Values.internalKey.existingSecret -}}
{{- $name := include "chassis.internal-key-secret" (dict "root" . "name" .Chart.Name) -}}
{{- $key := randAlphaNum 43 -}}{{/* 256 bits: 43 times log2(62) */}}
{{- include "chassis.generated-secret" (dict "root" . "name" $name "data" (dict "internal.key" $key)) -}}
{{- end -}}
{{- end -}}
