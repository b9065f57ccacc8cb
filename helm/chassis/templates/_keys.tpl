{{/*
The Job that creates the Secrets that are missing: signing keys, internal keys and the first password. The keys are random numbers
of the cluster, which neither helm nor its records of releases ever see; a Secret that exists is kept, so that no upgrade, rollback
or reinstallation changes a key.

It runs before anything else is installed, with the image of the gateway. Helm deletes the right to create Secrets again as soon as
the Job has ended, and keeps only a Job that failed, for its log. A plain `kubectl apply` creates all of it as well: pods that need
a Secret wait for it.

Arguments: `root`, that of the chart gateway; `arguments`, a list of the Secrets as `gateway keys kubernetes` takes them. Without
any, nothing is rendered.
*/}}
{{- define "chassis.keys" -}}
{{- if .arguments -}}
{{- $root := .root -}}
{{- $name := include "chassis.sibling" (dict "root" $root "name" "keys") -}}
{{- $selector := dict "app.kubernetes.io/name" "keys" "app.kubernetes.io/instance" $root.Release.Name -}}
{{- $labels := merge (deepCopy $selector) (include "chassis.labels" $root | fromYaml) -}}
{{- $events := "pre-install,pre-upgrade" -}}
{{- $first := include "chassis.hook" (dict "events" $events "weight" -20) -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ $name }}
  labels: {{- toYaml $labels | nindent 4 }}
  annotations: {{- $first | nindent 4 }}
automountServiceAccountToken: false
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: {{ $name }}
  labels: {{- toYaml $labels | nindent 4 }}
  annotations: {{- $first | nindent 4 }}
rules:
  # Of any name: who asks to create something has no name to be judged by, so that Kubernetes cannot limit `create` to names.
  - {apiGroups: [""], resources: [secrets], verbs: [create]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: {{ $name }}
  labels: {{- toYaml $labels | nindent 4 }}
  annotations: {{- $first | nindent 4 }}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: {{ $name }}}
subjects:
  - {kind: ServiceAccount, name: {{ $name }}, namespace: {{ $root.Release.Namespace }}}
{{- with $root.Values.networkPolicy }}
{{- if .enabled }}
---
# Nobody reaches the Job, and it reaches only the API server, at whatever address that has; it needs no DNS.
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ $name }}
  labels: {{- toYaml $labels | nindent 4 }}
  annotations: {{- $first | nindent 4 }}
spec:
  podSelector:
    matchLabels: {{- toYaml $selector | nindent 6 }}
  policyTypes: [Ingress, Egress]
  ingress: []
  egress:
    - ports:
        {{- range .apiServerPorts }}
        - {port: {{ . }}}
        {{- end }}
{{- end }}
{{- end }}
---
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ $name }}
  labels: {{- toYaml $labels | nindent 4 }}
  annotations: {{- include "chassis.hook" (dict "events" $events "weight" -10) | nindent 4 }}
spec:
  {{- include "chassis.job" . | nindent 2 }}
  template:
    metadata:
      labels: {{- toYaml $selector | nindent 8 }}
    spec:
      restartPolicy: Never
      {{- include "chassis.pod" (dict "root" $root "serviceAccount" $name "token" true) | nindent 6 }}
      containers:
        - name: keys
          {{- include "chassis.image-and-rights" $root | nindent 10 }}
          {{- include "chassis.job-resources" . | nindent 10 }}
          args:
            - keys
            - kubernetes
            - --label=app.kubernetes.io/instance={{ $root.Release.Name }}
            - --label=app.kubernetes.io/part-of=microservices-app
            {{- range .arguments }}
            - {{ . }}
            {{- end }}
{{- end -}}
{{- end -}}

{{/* Whether the chart is a part of microservices-app, whose Job creates the Secrets of all three charts. */}}
{{- define "chassis.is-part" -}}
{{- if hasSuffix (printf "microservices-app/charts/%s/templates" .Chart.Name) .Template.BasePath -}}true{{- end -}}
{{- end -}}

{{/* Refuses a Secret that neither exists nor is created. Arguments: `root`; `value`, which names it; `what` is in it. */}}
{{- define "chassis.require-secret" -}}
{{- if not (include "chassis.is-part" .root) -}}
{{- $hint := "create such a Secret and name it here, or install microservices-app, which creates it" -}}
{{- fail (printf "%s: %s: missing: nothing creates the Secret with %s for this chart alone; %s" .root.Chart.Name .value .what $hint) -}}
{{- end -}}
{{- end -}}
