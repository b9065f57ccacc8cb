{{/*
The Job that checks a new version before an upgrade replaces anything. Its pod is the new pod of the workload (image, variables, keys,
rights, scheduling), with commands that end instead of the service: if one fails, or the image cannot be pulled, helm gives up, prints
their log, and what serves goes on. It is rendered for upgrades only: a new installation replaces nothing.

Data is checked in a copy. The volume of a StatefulSet is mounted beside the pod that serves, and so on its node, since most volumes
can be used on one node at a time. While no pod serves, or where the volume admits a single pod, an empty folder takes its place.

Arguments: `root`; `workload`, the file of its template; `commands`, a list of `name` and `args`, run one after another; and, where
they are needed, `files` (volumes that replace those of the same name), `env`, `egress` (rules as text), and `readOnly: true` if the commands write nothing
to the volume.
*/}}
{{- define "chassis.check" -}}
{{- $root := .root -}}
{{- $check := $root.Values.preUpgradeCheck -}}
{{- if and $root.Release.IsUpgrade $check.enabled -}}
{{- $fullname := include "chassis.fullname" $root -}}
{{- $name := printf "%s-check" $fullname -}}
{{- $selector := dict "app.kubernetes.io/name" (printf "%s-check" $root.Chart.Name) "app.kubernetes.io/instance" $root.Release.Name -}}
{{- $labels := merge (deepCopy $selector) (include "chassis.labels" $root | fromYaml) -}}
{{- $workload := include (printf "%s/%s" $root.Template.BasePath .workload) $root | fromYaml -}}
{{- $pod := $workload.spec.template.spec -}}
{{- $container := first $pod.containers -}}
{{- $volumes := list -}}
{{- $replaced := .files | default list -}}
{{- range $pod.volumes -}}
{{- $volume := . -}}
{{- range $replaced -}}{{- if eq .name $volume.name -}}{{- $volume = . -}}{{- end -}}{{- end -}}
{{- $volumes = append $volumes $volume -}}
{{- end -}}
{{- if $workload.spec.volumeClaimTemplates -}}
{{- $data := dict "name" "data" "emptyDir" dict -}}
{{- $serving := lookup "apps/v1" "StatefulSet" $root.Release.Namespace $fullname -}}
{{- $is_idle := and $serving (not (dig "status" "replicas" 0 $serving)) -}}
{{- if not (or $is_idle (eq $root.Values.persistence.accessMode "ReadWriteOncePod")) -}}
{{- $data = dict "name" "data" "persistentVolumeClaim" (dict "claimName" (printf "data-%s-0" $fullname)) -}}
{{- $near := dict "labelSelector" (dict "matchLabels" $workload.spec.selector.matchLabels) "topologyKey" "kubernetes.io/hostname" -}}
{{- $affinity := dict "podAffinity" (dict "requiredDuringSchedulingIgnoredDuringExecution" (list $near)) -}}
{{- $_ := set $pod "affinity" (merge $affinity ($pod.affinity | default dict)) -}}
{{- end -}}
{{- $scratch := dict "name" "scratch" "emptyDir" (dict "sizeLimit" $root.Values.persistence.size) -}}
{{- $volumes = append (append $volumes $data) $scratch -}}
{{- if .readOnly -}}
{{- range $container.volumeMounts -}}{{- $_ := set . "readOnly" true -}}{{- end -}}
{{- end -}}
{{- $_ := set $container "volumeMounts" (append $container.volumeMounts (dict "name" "scratch" "mountPath" "/scratch")) -}}
{{- end -}}
{{- $_ := set $container "env" (concat $container.env (.env | default list)) -}}
{{- $memory := dict "limits" (dict "memory" $root.Values.resources.limits.memory) -}}
{{- $_ := set $container "resources" (merge $memory (include "chassis.job-resources" . | fromYaml).resources) -}}
{{- $containers := list -}}
{{- range .commands -}}
{{- $containers = append $containers (merge . (omit $container "name" "ports" "startupProbe" "livenessProbe" "readinessProbe")) -}}
{{- end -}}
{{- $pod = omit $pod "containers" "volumes" "topologySpreadConstraints" "terminationGracePeriodSeconds" -}}
{{- $_ := set $pod "restartPolicy" "Never" -}}
{{- $_ := set $pod "initContainers" (initial $containers) -}}
{{- $_ := set $pod "containers" (list (last $containers)) -}}
{{- $_ := set $pod "volumes" $volumes -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ $name }}
  labels: {{- toYaml $labels | nindent 4 }}
  annotations: {{- include "chassis.hook" (dict "events" "pre-upgrade" "weight" 0) | nindent 4 }}
spec: # nobody reaches it, and it reaches at most the database
  podSelector:
    matchLabels: {{- toYaml $selector | nindent 6 }}
  policyTypes: [Ingress, Egress]
  ingress: []
  egress: {{- .egress | default "[]" | nindent 4 }}
---
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ $name }}
  labels: {{- toYaml $labels | nindent 4 }}
  annotations: {{- include "chassis.hook" (dict "events" "pre-upgrade" "weight" 10) | nindent 4 }}
spec:
  backoffLimit: 0
  activeDeadlineSeconds: {{ $check.seconds }}
  template:
    metadata:
      labels: {{- toYaml $selector | nindent 8 }}
    spec: {{- toYaml $pod | nindent 6 }}
{{- end -}}
{{- end -}}
