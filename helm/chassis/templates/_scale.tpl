{{/* What a workload has that can run several pods. */}}

{{/* The least number of its pods. */}}
{{- define "chassis.replicas-min" -}}
{{- if .Values.autoscaling.enabled -}}{{ .Values.autoscaling.minReplicas }}{{- else -}}{{ .Values.replicas }}{{- end -}}
{{- end -}}

{{/* While nodes are drained, pods are evicted one at a time. With a single pod, a budget would block the node forever. */}}
{{- define "chassis.pdb" -}}
{{- if gt (int (include "chassis.replicas-min" .)) 1 -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "chassis.fullname" . }}
  labels: {{- include "chassis.labels" . | nindent 4 }}
spec:
  maxUnavailable: 1
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels: {{- include "chassis.selector-labels" . | nindent 6 }}
{{- end -}}
{{- end -}}

{{/* Scales with CPU use, the only resource that the services need much of. */}}
{{- define "chassis.hpa" -}}
{{- with .Values.autoscaling -}}
{{- if .enabled -}}
{{- if gt (int .minReplicas) (int .maxReplicas) -}}
{{- fail (printf "%s: autoscaling.minReplicas: %v is more than autoscaling.maxReplicas: %v" $.Chart.Name .minReplicas .maxReplicas) -}}
{{- end -}}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: {{ include "chassis.fullname" $ }}
  labels: {{- include "chassis.labels" $ | nindent 4 }}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: {{ include "chassis.fullname" $ }}}
  minReplicas: {{ .minReplicas }}
  maxReplicas: {{ .maxReplicas }}
  metrics:
    - type: Resource
      resource:
        name: cpu
        target: {type: Utilization, averageUtilization: {{ .cpuPercent }}}
{{- end -}}
{{- end -}}
{{- end -}}
