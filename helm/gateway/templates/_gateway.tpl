{{/* The gateway's YAML, environment variables and service addresses. */}}

{{/* The YAML; with tls.secret, it gets `tls`, unless it has one of its own. */}}
{{- define "gateway.config" -}}
{{- $yaml := .Values.config | default (.Files.Get "files/gateway.yaml") -}}
{{- $folder := "/etc/gateway/tls" -}}
{{- $own := "(?m)^tls *:" -}}
{{- if and .Values.tls.secret (regexMatch $own $yaml) (not (contains (printf "%s/" $folder) $yaml)) -}}
{{- fail (printf "gateway: tls.secret: %s: the YAML has a `tls` that does not use it; name %s/tls.crt and %s/tls.key there" .Values.tls.secret $folder $folder) -}}
{{- end -}}
{{- $yaml -}}
{{- if and .Values.tls.secret (not (regexMatch $own $yaml)) }}

# The value tls.secret of the chart.
tls: {cert: {{ $folder }}/tls.crt, key: {{ $folder }}/tls.key}
{{ end -}}
{{- end -}}

{{/* What the public port speaks, which is also its name: http or https. */}}
{{- define "gateway.scheme" -}}
{{- /* Helm's own parser refuses some of what YAML 1.2 and the gateway accept. */ -}}
{{- include "gateway.config" . | regexMatch "(?m)^tls *:" | ternary "https" "http" -}}
{{- end -}}

{{/* `true` if the gateway signs tokens with keys of a folder: not with a YAML that has none, nor with GATEWAY_JWT_SECRET. */}}
{{- define "gateway.signs" -}}
{{- $reads := include "gateway.config" . | regexMatch `\$\{GATEWAY_KEY_DIR[:}]|/etc/gateway/signing-keys` -}}
{{- if and (or $reads .Values.signingKeys.existingSecret) (not (hasKey .Values.secretEnv "GATEWAY_JWT_SECRET")) -}}true{{- end -}}
{{- end -}}

{{/* The Secret with the signing keys. */}}
{{- define "gateway.signing-keys" -}}
{{- .Values.signingKeys.existingSecret | default (printf "%s-signing-keys" (include "chassis.fullname" .)) -}}
{{- end -}}

{{/* The services with their defaults, as YAML; each has `url`, `host`, `port` and `secret`. */}}
{{- define "gateway.services" -}}
{{- range $name, $service := .Values.services }}
{{- $sibling := dict "root" $ "name" $name }}
{{- $url := $service.url | default (printf "http://%s:%v" (include "chassis.sibling" $sibling) $service.port) }}
{{- if not (or $service.internalKeySecret (and (include "chassis.is-part" $) (has $name (list "users" "orders")))) }}
{{- $hint := printf "create such a Secret and name it here; or remove the service: services: {%s: null}" $name }}
{{- fail (printf "gateway: services.%s.internalKeySecret: missing: nothing creates the Secret with the key shared with %s; %s" $name $name $hint) }}
{{- end }}
{{ $name }}:
  url: {{ $url }}
  inRelease: {{ not $service.url }}
  port: {{ $service.port }}
  secret: {{ $service.internalKeySecret | default (include "chassis.internal-key-secret" $sibling) }}
{{- end }}
{{- end -}}

{{- define "gateway.env" -}}
GATEWAY_CONFIG: /etc/gateway/config/gateway.yaml
GATEWAY_LISTEN: 0.0.0.0:8001
GATEWAY_ADMIN_LISTEN: 0.0.0.0:9000 # a NetworkPolicy admits only Prometheus
{{- if include "gateway.signs" . }}
GATEWAY_KEY_DIR: /etc/gateway/signing-keys
{{- end }}
GATEWAY_WORKERS: {{ .Values.workers | quote }}
GATEWAY_ACCESS_LOG: {{ .Values.accessLog | quote }}
GATEWAY_TRUSTED_PROXIES: {{ join "," .Values.trustedProxies | quote }}
ACCESS_TOKEN_TTL: {{ .Values.accessTokenTtl }}
LOGIN_LIMIT: {{ .Values.loginLimit }}
DRAIN_DELAY: {{ .Values.drainDelaySeconds }}s
RUST_LOG: {{ .Values.logLevel }}
{{- range $name, $service := include "gateway.services" . | fromYaml }}
{{ upper $name }}_SERVICE_URL: {{ $service.url }}
{{ upper $name }}_INTERNAL_KEY_FILE: /etc/gateway/internal-keys/{{ $name }}.key
{{- end }}
{{- end -}}

{{/* Refuses variables that nothing reads, such as misspelt ones: neither the program nor ${NAME} in the YAML. */}}
{{- define "gateway.check-env" -}}
{{- $program := list "DRAIN_DELAY" "LOG_FORMAT" "RUST_LOG" "GATEWAY_CONFIG" "GATEWAY_WORKERS" "NO_COLOR" -}}
{{- $yaml := include "gateway.config" . -}}
{{- range $name, $_ := .Values.env -}}
{{- if not (or (has $name $program) (regexMatch (printf `\$\{%s[:}]` $name) $yaml)) -}}
{{- fail (printf "gateway: env.%s: neither the gateway (docs/configuration.md) nor its YAML reads this variable" $name) -}}
{{- end -}}
{{- if hasKey $.Values.secretEnv $name -}}
{{- fail (printf "gateway: env.%s: secretEnv sets this variable too; keep one of them" $name) -}}
{{- end -}}
{{- end -}}
{{- range $name, $_ := .Values.secretEnv -}}
{{- if not (or (regexMatch `^(GATEWAY_JWT_SECRET|([A-Z0-9_]+_)?INTERNAL_KEY)$` $name) (regexMatch (printf `\$\{%s[:}]` $name) $yaml)) -}}
{{- fail (printf "gateway: secretEnv.%s: neither the gateway (docs/configuration.md) nor its YAML reads this variable" $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Refuses volumes and mounts that Kubernetes would refuse too, but only after the release was stored. */}}
{{- define "gateway.check-volumes" -}}
{{- $own := list "config" "signing-keys" "internal-keys" "tls" -}}
{{- $names := list -}}
{{- range .Values.volumes -}}
{{- if has .name $own -}}
{{- fail (printf "gateway: volumes: %s is a volume of the chart itself; choose another name" .name) -}}
{{- end -}}
{{- $names = append $names .name -}}
{{- end -}}
{{- range .Values.volumeMounts -}}
{{- if not (has .name $names) -}}
{{- fail (printf "gateway: volumeMounts: %s: there is no such volume in `volumes`" .name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
