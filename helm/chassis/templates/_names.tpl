{{/* Names, labels and images, by which the charts of a release find one another. */}}

{{/* The name of the resources of the chart `name` in the release of `root`. */}}
{{- define "chassis.sibling" -}}
{{- if eq .root.Release.Name .name -}}{{ .name }}{{- else -}}{{ .root.Release.Name }}-{{ .name }}{{- end -}}
{{- end -}}

{{- define "chassis.fullname" -}}
{{- if gt (len .Release.Name) 40 -}}
{{- /* A pod of a StatefulSet has a label of the set's name plus 11 characters, and a label has at most 63. */ -}}
{{- fail (printf "the release name %s has %d characters; choose one of at most 40" .Release.Name (len .Release.Name)) -}}
{{- end -}}
{{- include "chassis.sibling" (dict "root" . "name" .Chart.Name) -}}
{{- end -}}

{{/* The Secret with the key shared by the gateway and the service `name`. */}}
{{- define "chassis.internal-key-secret" -}}
{{- include "chassis.sibling" . }}-internal-key
{{- end -}}

{{- define "chassis.selector-labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "chassis.labels" -}}
{{- /* A label has at most 63 characters, and neither begins nor ends with one of these. */ -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name (.Chart.Version | replace "+" "_") | trunc 63 | trimAll "-_." }}
{{ include "chassis.selector-labels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | trunc 63 | trimAll "-_." | quote }}
app.kubernetes.io/part-of: microservices-app
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{/* The labels of a pod: those by which it is selected, and those of the values. */}}
{{- define "chassis.pod-labels" -}}
{{- $own := include "chassis.selector-labels" . | fromYaml -}}
{{- range $name, $_ := .Values.podLabels -}}
{{- if hasKey $own $name -}}
{{- fail (printf "%s: podLabels: %s: the chart itself selects its pods by this label; choose another" $.Chart.Name $name) -}}
{{- end -}}
{{- end -}}
{{- merge $own .Values.podLabels | toYaml -}}
{{- end -}}

{{/* registry/repository:tag@digest. A global registry or tag takes precedence over that of the chart. */}}
{{- define "chassis.image" -}}
{{- $global := dig "image" dict (.Values.global | default dict) -}}
{{- $registry := $global.registry | default .Values.image.registry -}}
{{- $tag := $global.tag | default .Values.image.tag | default .Chart.AppVersion -}}
{{- include "chassis.refuse-latest" (dict "value" (printf "%s: image.tag" .Chart.Name) "tag" $tag) -}}
{{- with $registry }}{{ . }}/{{ end }}{{ .Values.image.repository }}:{{ $tag }}{{ with .Values.image.digest }}@{{ . }}{{ end }}
{{- end -}}

{{/* Refuses a tag that does not name a version. Arguments: `value`, where the tag is set; `tag`. */}}
{{- define "chassis.refuse-latest" -}}
{{- if eq .tag "latest" -}}
{{- fail (printf "%s: latest changes with every push; name a version" .value) -}}
{{- end -}}
{{- end -}}
