{{/* The service's environment variables. */}}
{{- define "orders.env" -}}
ORDERS_LISTEN: 0.0.0.0:8003
ORDERS_DATABASE_URL: sqlite:///data/orders/orders.db
ORDERS_INTERNAL_KEY_FILE: /etc/orders/internal.key
ORDERS_WORKERS: {{ .Values.workers | quote }}
ORDERS_READERS: {{ .Values.readers | quote }}
DRAIN_DELAY: {{ .Values.drainDelaySeconds }}s
RUST_LOG: {{ .Values.logLevel }}
{{- with .Values.events }}
{{- if .url }}
EVENTS_URL: {{ .url }}
{{- if .credentialsSecret }}
EVENTS_CREDENTIALS_FILE: /etc/orders-events/nats.creds
{{- end }}
{{- if .caSecret }}
EVENTS_CA_FILE: /etc/orders-events-ca/ca.crt
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The files for publishing events, see `chassis.secret-mounts`. */}}
{{- define "orders.files" -}}
{{- with .Values.events -}}
{{- if and .url .credentialsSecret }}
- {name: events-credentials, secret: {{ .credentialsSecret }}, key: nats.creds, path: /etc/orders-events}
{{- end }}
{{- if and .url .caSecret }}
- {name: events-ca, secret: {{ .caSecret }}, key: ca.crt, path: /etc/orders-events-ca}
{{- end }}
{{- end -}}
{{- end -}}

{{/* Refuses values with which no event could be published. */}}
{{- define "orders.check-events" -}}
{{- with .Values.events -}}
{{- if and .url (not (regexMatch "^(nats|tls)://[^/@]+$" .url)) -}}
{{- fail "orders: events.url: must be the URL of a NATS server, without user and password: tls://nats.example.com:4222; name the Secret with credentials: events.credentialsSecret" -}}
{{- end -}}
{{- if and .url $.Values.networkPolicy.enabled (not .egress) -}}
{{- fail "orders: events.egress: missing: the network policy would keep the pods from NATS; name it, for example [{to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: nats}}}], ports: [{port: 4222}]}]" -}}
{{- end -}}
{{- end -}}
{{- end -}}
