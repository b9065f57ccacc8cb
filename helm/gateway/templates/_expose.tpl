{{/*
How clients reach the gateway: the one value expose.through decides what is created, and who may connect.

A NetworkPolicy selects pods, so that it must know those of each kind of controller. Each comes from the labels that the
controller's own chart gives them; for one that is labelled differently, set `none` and networkPolicy.from.
*/}}

{{/* Refuses values that the kind does not use, and the lack of those that it needs. */}}
{{- define "gateway.check-expose" -}}
{{- $expose := .Values.expose -}}
{{- $is := printf "with expose.through: %s" $expose.through -}}
{{- $ingress := list "ingress-nginx" "traefik" -}}
{{- $direct := list "load-balancer" "node-port" -}}
{{- $uses := dict "className" $ingress "tlsSecret" $ingress "gateways" (list "gateway-api") "sourceRanges" $direct -}}
{{- range $name, $kinds := $uses -}}
{{- if and (get $expose $name) (not (has $expose.through $kinds)) -}}
{{- fail (printf "gateway: expose.%s: nothing reads it %s; it is for %s" $name $is (join " and " $kinds)) -}}
{{- end -}}
{{- end -}}
{{- if and (has $expose.through (append $ingress "gateway-api")) (not $expose.host) -}}
{{- fail (printf "gateway: expose.host: missing %s; set the name by which clients reach the gateway" $is) -}}
{{- end -}}
{{- if and (has $expose.through (append $ingress "gateway-api")) (eq (include "gateway.scheme" .) "https") -}}
{{- $hint := "take tls.secret and the `tls` of the YAML away, or set expose.through: load-balancer" -}}
{{- fail (printf "gateway: tls: %s the gateway is sent plain HTTP, since TLS ends before it; %s" $is $hint) -}}
{{- end -}}
{{- if and (eq $expose.through "gateway-api") (not $expose.gateways) -}}
{{- fail (printf "gateway: expose.gateways: missing %s; name the Gateway that clients reach, such as [{name: public, namespace: gateways}]" $is) -}}
{{- end -}}
{{- if and $expose.sourceRanges (eq $expose.through "node-port") (eq $expose.externalTrafficPolicy "Cluster") -}}
{{- fail "gateway: expose.sourceRanges: with externalTrafficPolicy: Cluster a node port hides where clients come from; set it to Local" -}}
{{- end -}}
{{- end -}}

{{/* The pods that bring clients, as the `from` of a NetworkPolicy: a list as YAML. */}}
{{- define "gateway.clients" -}}
{{- $through := .Values.expose.through -}}
{{- if eq $through "ingress-nginx" }}
- namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ingress-nginx}}
  podSelector: {matchLabels: {app.kubernetes.io/name: ingress-nginx, app.kubernetes.io/component: controller}}
{{- else if eq $through "traefik" }}
- namespaceSelector: # k3s runs Traefik in kube-system
    matchExpressions: [{key: kubernetes.io/metadata.name, operator: In, values: [traefik, kube-system]}]
  podSelector: {matchLabels: {app.kubernetes.io/name: traefik}}
{{- else if eq $through "gateway-api" }}
{{- range .Values.expose.gateways }}
{{- $namespace := .namespace | default $.Release.Namespace }}
- namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: {{ $namespace }}}} # where most implementations run the proxy (GEP-1762)
  podSelector: {matchLabels: {gateway.networking.k8s.io/gateway-name: {{ .name }}}}
- namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: envoy-gateway-system}} # where Envoy Gateway runs it
  podSelector:
    matchLabels:
      gateway.envoyproxy.io/owning-gateway-name: {{ .name }}
      gateway.envoyproxy.io/owning-gateway-namespace: {{ $namespace }}
{{- end }}
{{- end }}
{{- range .Values.expose.sourceRanges }}
- ipBlock: {cidr: {{ . }}}
{{- end }}
{{- range .Values.networkPolicy.from }}
- {{ toJson . }}
{{- end }}
{{- end -}}

{{/*
Whether the network policy admits every address: a load balancer or a node port has no pods that it could select, and where nodes
put their own address in the place of the client's it would not recognize clients (the load balancer checks sourceRanges then).
*/}}
{{- define "gateway.admits-all" -}}
{{- $expose := .Values.expose -}}
{{- $recognized := and $expose.sourceRanges (eq $expose.externalTrafficPolicy "Local") -}}
{{- and (has $expose.through (list "load-balancer" "node-port")) (not $recognized) -}}
{{- end -}}

{{/* For NOTES.txt: how to reach the gateway. */}}
{{- define "gateway.notes" -}}
{{- $name := include "chassis.fullname" . -}}
{{- $in := printf "kubectl -n %s" .Release.Namespace -}}
{{- $expose := .Values.expose -}}
{{- if has $expose.through (list "ingress-nginx" "traefik") -}}
Clients reach the gateway at http{{ if $expose.tlsSecret }}s{{ end }}://{{ $expose.host }}/ through an Ingress.
{{- else if eq $expose.through "gateway-api" -}}
Clients reach the gateway at {{ $expose.host }} through
{{- range $expose.gateways }} the Gateway {{ .name }} in {{ .namespace | default $.Release.Namespace }}{{ end }}. Whether it accepts the route:

  {{ $in }} get httproute {{ $name }} -o 'jsonpath={.status.parents[*].conditions}'
{{- else if eq $expose.through "load-balancer" -}}
Clients reach the gateway at {{ include "gateway.scheme" . }}://{{ $expose.host | default "ADDRESS" }}:{{ .Values.service.port }}/ as soon as its load balancer has an address:

  {{ $in }} get service {{ $name }} --watch
{{- else if eq $expose.through "node-port" -}}
Clients reach the gateway by {{ include "gateway.scheme" . }} at this port of the nodes on which it runs:

  {{ $in }} get service {{ $name }} -o 'jsonpath={.spec.ports[0].nodePort}'
{{- else -}}
To reach the gateway from this machine, at {{ include "gateway.scheme" . }}://127.0.0.1:8001/:

  {{ $in }} port-forward service/{{ $name }} 8001:{{ .Values.service.port }}
{{- end }}
{{- if and (has $expose.through (list "load-balancer" "node-port")) (eq $expose.externalTrafficPolicy "Cluster") }}

expose.externalTrafficPolicy is Cluster: the gateway sees the addresses of nodes, and all clients share the limits per address.
{{- end }}
{{- if and (has $expose.through (list "ingress-nginx" "traefik" "gateway-api")) (not .Values.trustedProxies) }}

trustedProxies is empty: all clients seem to come from {{ $expose.through }} and share the limits per address. Set it to the network of
the controller's pods.
{{- end }}
{{- end -}}
