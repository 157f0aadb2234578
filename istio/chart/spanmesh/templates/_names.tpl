{{/*
Names, labels and addresses. The Service is always spanmesh-collector, whatever the release is
called: the filter's default configuration names it.
*/}}

{{- define "spanmesh.service" -}}spanmesh-collector{{- end }}

{{- define "spanmesh.labels" -}}
app.kubernetes.io/part-of: spanmesh
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The labels that lead to the pods of one workload: they never change. Takes a workload. */}}
{{- define "spanmesh.selector" -}}
app.kubernetes.io/name: {{ .name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- end }}

{{- define "spanmesh.image" -}}
{{- with .Values.image -}}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{- define "spanmesh.serviceAccount" -}}
{{- with .Values.collector.serviceAccount -}}
{{- if .name }}{{ .name }}{{ else if .create }}spanmesh-collector{{ else }}default{{ end }}
{{- end }}
{{- end }}

{{/* The host of a Service of this release. Takes a list of the root and the Service's name. */}}
{{- define "spanmesh.host" -}}
{{- $root := index . 0 -}}
{{ index . 1 }}.{{ $root.Release.Namespace }}.svc.{{ $root.Values.clusterDomain }}
{{- end }}

{{/*
The collectors that have pods of their own, as a JSON list of {layer, kind, name}. `layer` is the
block of values that is about them.
*/}}
{{- define "spanmesh.workloads" -}}
{{- $list := list -}}
{{- if .Values.collector.enabled -}}
{{- if eq .Values.mode "deployment" -}}
{{- $list = append $list (dict "layer" "gateway" "kind" "Deployment" "name" "spanmesh-collector") -}}
{{- else if eq .Values.mode "statefulset" -}}
{{- $list = append $list (dict "layer" "gateway" "kind" "StatefulSet" "name" "spanmesh-collector") -}}
{{- else if eq .Values.mode "daemonset" -}}
{{- $list = append $list (dict "layer" "agent" "kind" "DaemonSet" "name" "spanmesh-collector") -}}
{{- else if eq .Values.mode "layers" -}}
{{- $list = append $list (dict "layer" "gateway" "kind" .Values.gateway.kind "name" "spanmesh-collector") -}}
{{- $list = append $list (dict "layer" "agent" "kind" "DaemonSet" "name" "spanmesh-collector-agent") -}}
{{- end -}}
{{- end -}}
{{- toJson $list -}}
{{- end }}

{{/* Whether there is a collector in each pod: a non-empty text if so. */}}
{{- define "spanmesh.hasSidecar" -}}
{{- if and .Values.collector.enabled (has .Values.mode (list "sidecar" "layers")) }}yes{{ end -}}
{{- end }}

{{/* Whether queues of a workload are on disk. Takes a workload. */}}
{{- define "spanmesh.persistent" -}}
{{- if and (eq .kind "StatefulSet") .root.Values.gateway.persistence.enabled }}yes{{ end -}}
{{- end }}
