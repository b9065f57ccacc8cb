{{/* Names, labels and images. All charts of a release find one another by them. */}}

{{/* The name of what the chart `name` makes in the release of `root`. */}}
{{- define "chassis.sibling" -}}
{{- if eq .root.Release.Name .name -}}{{ .name }}{{- else -}}{{ .root.Release.Name }}-{{ .name }}{{- end -}}
{{- end -}}

{{- define "chassis.fullname" -}}
{{- if gt (len .Release.Name) 40 -}}
{{- /* A pod of a StatefulSet has a label with the set's name and 11 characters more; a label has 63 at most. */ -}}
{{- fail (printf "the release name %s has %d characters; choose one of at most 40" .Release.Name (len .Release.Name)) -}}
{{- end -}}
{{- include "chassis.sibling" (dict "root" . "name" .Chart.Name) -}}
{{- end -}}

{{/* The Secret with the key that the gateway and the service `name` share. */}}
{{- define "chassis.internal-key-secret" -}}
{{- include "chassis.sibling" . }}-internal-key
{{- end -}}

{{- define "chassis.selector-labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "chassis.labels" -}}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
{{ include "chassis.selector-labels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: microservices-app
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{/* registry/repository:tag. A global registry or tag counts before that of the chart. */}}
{{- define "chassis.image" -}}
{{- $global := dig "image" dict (.Values.global | default dict) -}}
{{- $registry := $global.registry | default .Values.image.registry -}}
{{- $tag := $global.tag | default .Values.image.tag | default .Chart.AppVersion -}}
{{- if eq $tag "latest" -}}
{{- fail (printf "%s: image.tag: latest is another image every time; name a version" .Chart.Name) -}}
{{- end -}}
{{- with $registry }}{{ . }}/{{ end }}{{ .Values.image.repository }}:{{ $tag }}
{{- end -}}
