{{/* The service's environment variables. */}}

{{- define "users.admin-secret" -}}
{{- .Values.admin.existingSecret | default (printf "%s-admin" (include "chassis.fullname" .)) -}}
{{- end -}}

{{- define "users.env" -}}
USERS_LISTEN: 0.0.0.0:8002
USERS_DATA_DIR: /data/users # a folder of the volume, so that the service sets its permissions
USERS_INTERNAL_KEY_FILE: /etc/users/internal.key
USERS_DEMO: {{ .Values.demo | quote }}
USERS_PASSWORD_MIN: {{ .Values.passwordMin | quote }}
USERS_BCRYPT_COST: {{ .Values.bcryptCost | quote }}
USERS_PROTECTED_IDS: {{ .Values.protectedIds | quote }}
USERS_WORKERS: {{ .Values.workers | quote }}
DRAIN_DELAY: {{ .Values.drainDelaySeconds }}s
RUST_LOG: {{ .Values.logLevel }}
{{- end -}}
