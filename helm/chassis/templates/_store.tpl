{{/*
The resources of an internal service that stores its data in files: users and orders. They differ in their variables.

A StatefulSet and not a Deployment: it never runs two pods with the same ordinal, not even while a node is unreachable, and
a folder belongs to one process; and its volume outlives the release. It is `Parallel` because an `OrderedReady` set waits
until a broken pod becomes ready before it replaces it, so that `helm rollback` could not repair anything.
*/}}

{{/* Refuses values that a file store cannot support. */}}
{{- define "chassis.check-store" -}}
{{- $chart := .Chart.Name -}}
{{- $more := "More need store.kind: postgresql, which does not exist yet" -}}
{{- if ne .Values.store.kind "file" -}}
{{- fail (printf "%s: store.kind: %s: this store does not exist yet; set it to file" $chart .Values.store.kind) -}}
{{- end -}}
{{- if gt (int .Values.replicas) 1 -}}
{{- $why := "a file store belongs to one process; set it to 1" -}}
{{- fail (printf "%s: replicas: %d: %s. %s" $chart (int .Values.replicas) $why $more) -}}
{{- end -}}
{{- if .Values.autoscaling.enabled -}}
{{- fail (printf "%s: autoscaling.enabled: a file store belongs to one process; set it to false. %s" $chart $more) -}}
{{- end -}}
{{- end -}}

{{/* Arguments: `root`; `port`; `env`, a map of variables; `secretEnv`, a list of variables taken from Secrets. */}}
{{- define "chassis.statefulset" -}}
{{- $root := .root -}}
{{- include "chassis.check-store" $root -}}
{{- $sibling := dict "root" $root "name" $root.Chart.Name -}}
{{- $key := $root.Values.internalKey.existingSecret | default (include "chassis.internal-key-secret" $sibling) -}}
{{- if not $root.Values.internalKey.existingSecret -}}
{{- include "chassis.require-secret" (dict "root" $root "value" "internalKey.existingSecret" "what" "the key shared with the gateway") -}}
{{- end -}}
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: {{ include "chassis.fullname" $root }}
  labels: {{- include "chassis.labels" $root | nindent 4 }}
spec:
  replicas: {{ $root.Values.replicas }}
  serviceName: {{ include "chassis.fullname" $root }}
  podManagementPolicy: Parallel
  persistentVolumeClaimRetentionPolicy: {whenDeleted: Retain, whenScaled: Retain}
  selector:
    matchLabels: {{- include "chassis.selector-labels" $root | nindent 6 }}
  template:
    metadata:
      labels: {{- include "chassis.pod-labels" $root | nindent 8 }}
      {{- with $root.Values.podAnnotations }}
      annotations: {{- toYaml . | nindent 8 }}
      {{- end }}
    spec:
      {{- include "chassis.pod" . | nindent 6 }}
      containers:
        - name: {{ $root.Chart.Name }}
          {{- include "chassis.container" $root | nindent 10 }}
          ports:
            - {name: http, containerPort: {{ .port }}}
          env:
            {{- include "chassis.env" (mergeOverwrite .env $root.Values.env) | trim | nindent 12 }}
            {{- with .secretEnv }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
          {{- include "chassis.probes" "http" | nindent 10 }}
          volumeMounts:
            - {name: data, mountPath: /data}
            - {name: internal-key, mountPath: /etc/{{ $root.Chart.Name }}, readOnly: true}
      volumes:
        - name: internal-key
          secret:
            secretName: {{ $key }}
            defaultMode: 0440
            items: [{key: internal.key, path: internal.key}]
  volumeClaimTemplates:
    - metadata:
        name: data
        labels: {{- include "chassis.selector-labels" $root | nindent 10 }}
      spec:
        accessModes: [{{ $root.Values.persistence.accessMode }}]
        {{- with $root.Values.persistence.storageClass }}
        storageClassName: {{ . }}
        {{- end }}
        resources:
          requests: {storage: {{ $root.Values.persistence.size }}}
{{- end -}}

{{/* Arguments: `root`, `port`. */}}
{{- define "chassis.service" -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ include "chassis.fullname" .root }}
  labels: {{- include "chassis.labels" .root | nindent 4 }}
spec:
  selector: {{- include "chassis.selector-labels" .root | nindent 4 }}
  ports:
    - {name: http, port: {{ .port }}, targetPort: http, appProtocol: http}
{{- end -}}

{{/* Admits only the gateway of the same release, and Prometheus. No egress. */}}
{{- define "chassis.networkpolicy" -}}
{{- if .Values.networkPolicy.enabled -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ include "chassis.fullname" . }}
  labels: {{- include "chassis.labels" . | nindent 4 }}
spec:
  podSelector:
    matchLabels: {{- include "chassis.selector-labels" . | nindent 6 }}
  policyTypes: [Ingress, Egress]
  ingress:
    - from:
        - podSelector:
            matchLabels:
              app.kubernetes.io/name: gateway
              app.kubernetes.io/instance: {{ .Release.Name }}
        {{- with .Values.monitoring.namespaceSelector }}
        - namespaceSelector: {{- toYaml . | nindent 12 }}
        {{- end }}
      ports: [{port: http}]
  egress: []
{{- end -}}
{{- end -}}
