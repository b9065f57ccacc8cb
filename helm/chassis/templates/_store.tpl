{{/*
The resources of an internal service, users and orders, which differ in their variables. With its data in files:

A StatefulSet and not a Deployment: it never runs two pods with the same ordinal, not even while a node is unreachable, and
a folder belongs to one process; and its volume outlives the release. It is `Parallel` because an `OrderedReady` set waits
until a broken pod becomes ready before it replaces it, so that `helm rollback` could not repair anything.

With its data in PostgreSQL, a Deployment whose pods share nothing but the database.
*/}}

{{/* Refuses values that a file store cannot support. */}}
{{- define "chassis.check-store" -}}
{{- $chart := .Chart.Name -}}
{{- $more := "More need store.kind: postgresql" -}}
{{- if not (hasKey .Values.store "url") -}}
{{- $more = "More need store.kind: postgresql, which does not exist yet" -}}
{{- if ne .Values.store.kind "file" -}}
{{- fail (printf "%s: store.kind: %s: this store does not exist yet; set it to file" $chart .Values.store.kind) -}}
{{- end -}}
{{- end -}}
{{- if gt (int .Values.replicas) 1 -}}
{{- $why := "a file store belongs to one process; set it to 1" -}}
{{- fail (printf "%s: replicas: %d: %s. %s" $chart (int .Values.replicas) $why $more) -}}
{{- end -}}
{{- if .Values.autoscaling.enabled -}}
{{- fail (printf "%s: autoscaling.enabled: a file store belongs to one process; set it to false. %s" $chart $more) -}}
{{- end -}}
{{- end -}}

{{/* Refuses values with which the database could not be reached, or would not be protected. */}}
{{- define "chassis.check-database" -}}
{{- $chart := .Chart.Name -}}
{{- $store := .Values.store -}}
{{- if not (regexMatch "^postgres(ql)?://[^/@]+@[^/@]+/[^/]+$" $store.url) -}}
{{- fail (printf "%s: store.url: must be the URL of a database, without a password: postgres://orders@db.example.com:5432/orders" $chart) -}}
{{- end -}}
{{- if contains ":" (first (splitList "@" (last (splitList "://" $store.url)))) -}}
{{- fail (printf "%s: store.url: contains a password, which helm would record; put it into a Secret and name that: store.passwordSecret" $chart) -}}
{{- end -}}
{{- if not $store.passwordSecret -}}
{{- fail (printf "%s: store.passwordSecret: missing: the Secret with the password of the database, as `password`" $chart) -}}
{{- end -}}
{{- if and .Values.networkPolicy.enabled (not $store.egress) -}}
{{- fail (printf "%s: store.egress: missing: the network policy would keep the pods from the database; name it, for example [{to: [{ipBlock: {cidr: 10.1.2.3/32}}], ports: [{port: 5432}]}]" $chart) -}}
{{- end -}}
{{- end -}}

{{/*
Files from Secrets that a service needs beside its key: `files`, a list of `name` (of the volume), `secret`, `key` (of the Secret, and
the name of the file) and `path` (a folder). First how they are mounted, then the volumes.
*/}}
{{- define "chassis.secret-mounts" -}}
{{- range . }}
- {name: {{ .name }}, mountPath: {{ .path }}, readOnly: true}
{{- end }}
{{- end -}}

{{- define "chassis.secret-volumes" -}}
{{- range . }}
- name: {{ .name }}
  secret:
    secretName: {{ .secret }}
    defaultMode: 0440
    items: [{key: {{ .key }}, path: {{ .key }}}]
{{- end }}
{{- end -}}

{{/* The pods of a service whose data is in PostgreSQL. Arguments as of `chassis.statefulset`. */}}
{{- define "chassis.database-deployment" -}}
{{- $root := .root -}}
{{- include "chassis.check-database" $root -}}
{{- $name := $root.Chart.Name -}}
{{- $prefix := upper $name -}}
{{- $url := $root.Values.store.url -}}
{{- if $root.Values.store.caSecret -}}
{{- $url = printf "%s%ssslrootcert=/etc/%s-database/ca.crt" $url (ternary "&" "?" (contains "?" $url)) $name -}}
{{- end -}}
{{- $database := dict (printf "%s_DATABASE_URL" $prefix) $url (printf "%s_DATABASE_PASSWORD_FILE" $prefix) (printf "/etc/%s-password/password" $name) -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "chassis.fullname" $root }}
  labels: {{- include "chassis.labels" $root | nindent 4 }}
spec:
  {{- if not $root.Values.autoscaling.enabled }}
  replicas: {{ $root.Values.replicas }}
  {{- end }}
  strategy:
    rollingUpdate: {maxUnavailable: 0, maxSurge: 1}
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
      topologySpreadConstraints:
        {{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
        - maxSkew: 1
          topologyKey: {{ $key }}
          whenUnsatisfiable: ScheduleAnyway
          labelSelector:
            matchLabels: {{- include "chassis.selector-labels" $root | nindent 14 }}
        {{- end }}
      containers:
        - name: {{ $name }}
          {{- include "chassis.container" $root | nindent 10 }}
          ports:
            - {name: http, containerPort: {{ .port }}}
          env:
            {{- include "chassis.env" (mergeOverwrite .env $database $root.Values.env) | trim | nindent 12 }}
          {{- include "chassis.probes" "http" | nindent 10 }}
          volumeMounts:
            - {name: internal-key, mountPath: /etc/{{ $name }}, readOnly: true}
            - {name: database-password, mountPath: /etc/{{ $name }}-password, readOnly: true}
            {{- if $root.Values.store.caSecret }}
            - {name: database-ca, mountPath: /etc/{{ $name }}-database, readOnly: true}
            {{- end }}
            {{- with .files }}
            {{- include "chassis.secret-mounts" . | trim | nindent 12 }}
            {{- end }}
      volumes:
        - name: internal-key
          secret:
            secretName: {{ include "chassis.own-internal-key" $root }}
            defaultMode: 0440
            items: [{key: internal.key, path: internal.key}]
        - name: database-password
          secret:
            secretName: {{ $root.Values.store.passwordSecret }}
            defaultMode: 0440
            items: [{key: password, path: password}]
        {{- with $root.Values.store.caSecret }}
        - name: database-ca
          secret:
            secretName: {{ . }}
            defaultMode: 0440
            items: [{key: ca.crt, path: ca.crt}]
        {{- end }}
        {{- with .files }}
        {{- include "chassis.secret-volumes" . | trim | nindent 8 }}
        {{- end }}
{{- end -}}

{{/* The Secret with the key that the service shares with the gateway. */}}
{{- define "chassis.own-internal-key" -}}
{{- if not .Values.internalKey.existingSecret -}}
{{- include "chassis.require-secret" (dict "root" . "value" "internalKey.existingSecret" "what" "the key shared with the gateway") -}}
{{- end -}}
{{- .Values.internalKey.existingSecret | default (include "chassis.internal-key-secret" (dict "root" . "name" .Chart.Name)) -}}
{{- end -}}

{{/*
Arguments: `root`; `port`; `env`, a map of variables; `secretEnv`, a list of variables taken from Secrets; `files`, see
`chassis.secret-mounts`.
*/}}
{{- define "chassis.statefulset" -}}
{{- $root := .root -}}
{{- include "chassis.check-store" $root -}}
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
            {{- with .files }}
            {{- include "chassis.secret-mounts" . | trim | nindent 12 }}
            {{- end }}
      volumes:
        - name: internal-key
          secret:
            secretName: {{ include "chassis.own-internal-key" $root }}
            defaultMode: 0440
            items: [{key: internal.key, path: internal.key}]
        {{- with .files }}
        {{- include "chassis.secret-volumes" . | trim | nindent 8 }}
        {{- end }}
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

{{/* Admits only the gateway of the same release, and Prometheus. No egress, except to the database and to NATS where there are any. */}}
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
  egress: {{- include "chassis.egress" . | nindent 4 }}
{{- end -}}
{{- end -}}

{{/* The rules that let pods reach the database. */}}
{{- define "chassis.database-egress" -}}
{{- if eq .Values.store.kind "postgresql" -}}{{ toYaml .Values.store.egress }}{{- else -}}[]{{- end -}}
{{- end -}}

{{/* The rules that let pods reach what they need while they serve: the database, and where events are published. */}}
{{- define "chassis.egress" -}}
{{- $database := ternary .Values.store.egress list (eq .Values.store.kind "postgresql") -}}
{{- $events := .Values.events | default dict -}}
{{- $rules := concat ($database | default list) (ternary ($events.egress | default list) list (not (empty $events.url))) -}}
{{- if $rules -}}{{ toYaml $rules }}{{- else -}}[]{{- end -}}
{{- end -}}
