{{/* How Prometheus finds a service. Arguments: `root`; `port`, by name; `labels` that only the Service to scrape has. */}}
{{- define "chassis.servicemonitor" -}}
{{- $monitor := .root.Values.monitoring.serviceMonitor -}}
{{- if and $monitor.enabled (.root.Capabilities.APIVersions.Has "monitoring.coreos.com/v1/ServiceMonitor") -}}
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata:
  name: {{ include "chassis.fullname" .root }}
  labels: {{- merge (include "chassis.labels" .root | fromYaml) $monitor.labels | toYaml | nindent 4 }}
spec:
  # The name of the service, by which the alerts and the dashboard select; by default it would be the name of the Service.
  jobLabel: app.kubernetes.io/name
  selector:
    matchLabels: {{- merge (include "chassis.selector-labels" .root | fromYaml) (.labels | default dict) | toYaml | nindent 6 }}
  endpoints:
    - {port: {{ .port }}, path: /metrics, interval: {{ $monitor.interval }}}
{{- end -}}
{{- end -}}
