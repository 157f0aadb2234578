{{/*
What the objects that load the filter have in common. `target` is an item of filter.targets.
*/}}

{{/* The objects' names. Takes a target. */}}
{{- define "spanmesh.target.name" -}}spanmesh-{{ .name }}{{- end }}

{{/*
Whether a target is of waypoints only: a non-empty text if so. A Gateway may be a waypoint, or not.
Takes a target.
*/}}
{{- define "spanmesh.target.isWaypoint" -}}
{{- $kinds := list -}}
{{- range .targetRefs }}{{ $kinds = append $kinds .kind }}{{ end -}}
{{- if and $kinds (not (has "Gateway" $kinds)) }}yes{{ end -}}
{{- end }}

{{/* The port that the filter sends to. Takes a dict of the root and, optionally, a target. */}}
{{- define "spanmesh.exportPort" -}}
{{- $config := mergeOverwrite (deepCopy .root.Values.filter.config) (deepCopy ((.target | default dict).config | default dict)) -}}
{{- eq ((($config.exporter) | default dict).protocol | default "grpc") "http" | ternary 4318 4317 -}}
{{- end }}

{{/* The cluster of the collector in each pod, with `sidecar.cluster: EnvoyFilter`. Takes a port. */}}
{{- define "spanmesh.sidecar.clusterName" -}}
spanmesh-collector-sidecar{{ if eq (toString .) "4318" }}-http{{ end }}
{{- end }}

{{/* The Envoy clusters that the filter sends to, in order, as JSON. */}}
{{- define "spanmesh.clusters" -}}
{{- $values := .root.Values -}}
{{- $port := include "spanmesh.exportPort" . -}}
{{- $list := list -}}
{{- if include "spanmesh.hasSidecar" .root -}}
{{- if eq $values.sidecar.cluster "ServiceEntry" -}}
{{- $list = append $list (printf "outbound|%s||%s" $port (include "spanmesh.host" (list .root "spanmesh-collector-sidecar"))) -}}
{{- else -}}
{{- $list = append $list (include "spanmesh.sidecar.clusterName" $port) -}}
{{- end -}}
{{- end -}}
{{- range include "spanmesh.workloads" .root | fromJsonArray | reverse -}}
{{- $list = append $list (printf "outbound|%s||%s" $port (include "spanmesh.host" (list $.root .name))) -}}
{{- end -}}
{{- toJson $list -}}
{{- end }}

{{/* The filter's configuration of a target, as YAML. Takes a dict of root and target. */}}
{{- define "spanmesh.filter.config" -}}
{{- $config := dict -}}
{{- $clusters := include "spanmesh.clusters" . | fromJsonArray -}}
{{- if $clusters -}}
{{- $config = dict "exporter" (dict "clusters" $clusters) -}}
{{- end -}}
{{- $config = mergeOverwrite $config (deepCopy .root.Values.filter.config) (deepCopy (.target.config | default dict)) -}}
{{ toYaml $config }}
{{- end }}

{{/* The module of a target, as YAML. Takes a dict of root and target. */}}
{{- define "spanmesh.filter.module" -}}
{{ toYaml (mergeOverwrite (deepCopy .root.Values.filter.module) (deepCopy (.target.module | default dict))) }}
{{- end }}

{{- define "spanmesh.filter.metadata" -}}
name: {{ include "spanmesh.target.name" .target }}
namespace: {{ .target.namespace | default .root.Values.istio.rootNamespace }}
labels:
  app.kubernetes.io/name: spanmesh-filter
  {{- include "spanmesh.labels" .root | nindent 2 }}
{{- end }}

{{- define "spanmesh.filter.place" -}}
{{- with .target.selector -}}
selector:
  matchLabels:
    {{- toYaml . | nindent 4 }}
{{ end -}}
{{- with .target.targetRefs -}}
targetRefs:
  {{- toYaml . | nindent 2 }}
{{ end -}}
{{- with .target.match -}}
match:
  {{- toYaml . | nindent 2 }}
{{ end -}}
{{- end }}

{{/* What WasmPlugin has at its top, and TrafficExtension below `wasm`. */}}
{{- define "spanmesh.filter.wasm" -}}
{{- $module := fromYaml (include "spanmesh.filter.module" .) -}}
url: {{ $module.url }}
{{- with $module.sha256 }}
sha256: {{ . | quote }}
{{- end }}
{{- with $module.imagePullPolicy }}
imagePullPolicy: {{ . }}
{{- end }}
{{- with $module.imagePullSecret }}
imagePullSecret: {{ . }}
{{- end }}
type: HTTP
# The filter's root id.
pluginName: spanmesh
failStrategy: {{ .root.Values.filter.failStrategy }}
{{- with .root.Values.filter.env }}
vmConfig:
  env:
    {{- toYaml . | nindent 4 }}
{{- end }}
pluginConfig:
  {{- include "spanmesh.filter.config" . | nindent 2 }}
{{- end }}

{{/* The Services of this release, as an annotation of EnvoyFilter names them: namespace/host. */}}
{{- define "spanmesh.references" -}}
{{- $hosts := list -}}
{{- range include "spanmesh.workloads" . | fromJsonArray -}}
{{- $hosts = append $hosts (printf "%s/%s" $.Release.Namespace (include "spanmesh.host" (list $ .name))) -}}
{{- end -}}
{{- if and (include "spanmesh.hasSidecar" .) (eq .Values.sidecar.cluster "ServiceEntry") -}}
{{- $hosts = append $hosts (printf "%s/%s" .Release.Namespace (include "spanmesh.host" (list . "spanmesh-collector-sidecar"))) -}}
{{- end -}}
{{- join "," $hosts | quote -}}
{{- end }}
