{{/* The service's environment variables. */}}
{{- define "orders.env" -}}
ORDERS_LISTEN: 0.0.0.0:8003
ORDERS_DATABASE_URL: sqlite:///data/orders/orders.db
ORDERS_INTERNAL_KEY_FILE: /etc/orders/internal.key
ORDERS_WORKERS: {{ .Values.workers | quote }}
ORDERS_READERS: {{ .Values.readers | quote }}
DRAIN_DELAY: {{ .Values.drainDelaySeconds }}s
RUST_LOG: {{ .Values.logLevel }}
{{- end -}}
