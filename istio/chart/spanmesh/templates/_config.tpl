{{/*
The collector's configuration: a default for each layer, and the values merged over it. Takes a
workload, or for the collector in each pod a dict with `layer: sidecar`.
*/}}

{{- define "spanmesh.config" -}}
{{- $values := index .root.Values .layer -}}
{{- if $values.alternateConfig -}}
{{ toYaml $values.alternateConfig }}
{{- else -}}
{{- $config := fromYaml (include "spanmesh.config.default" .) -}}
{{- $chosen := deepCopy $values.config -}}
{{- if not $chosen.exporters -}}
{{- $_ := set $config "exporters" (fromYaml (include "spanmesh.config.exporters" .)) -}}
{{- end -}}
{{- $config = mergeOverwrite $config $chosen -}}
{{- $exporters := keys $config.exporters | sortAlpha -}}
{{- range $name, $pipeline := $config.service.pipelines -}}
{{- if not (hasKey $pipeline "exporters") -}}
{{- $_ := set $pipeline "exporters" $exporters -}}
{{- end -}}
{{- end -}}
{{- if include "spanmesh.persistent" . -}}
{{- range $name, $exporter := $config.exporters -}}
{{- if has (regexReplaceAll "/.*" $name "") (list "otlp_grpc" "otlp_http" "otlp" "otlphttp") -}}
{{- $queue := $exporter.sending_queue | default dict -}}
{{- if and (not (hasKey $queue "storage")) (not $queue.wait_for_result) (ne (toString $queue.enabled) "false") -}}
{{- $_ := set $exporter "sending_queue" (merge (dict "storage" "file_storage") $queue) -}}
{{- $_ := set $exporter "retry_on_failure" (merge ($exporter.retry_on_failure | default dict) (dict "max_elapsed_time" 0)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{ toYaml $config }}
{{- end -}}
{{- end }}

{{- define "spanmesh.config.default" -}}
{{- $values := .root.Values -}}
{{- $address := ternary "127.0.0.1" $values.collector.listenAddress (eq .layer "sidecar") -}}
{{- $tls := and $values.collector.tls.enabled (eq (.name | default "") "spanmesh-collector") -}}
receivers:
  otlp:
    protocols:
      {{- range $protocol, $port := dict "grpc" 4317 "http" 4318 }}
      {{ $protocol }}:
        endpoint: {{ printf "%s:%d" $address $port | quote }}
        {{- if $tls }}
        tls:
          cert_file: /etc/spanmesh-tls/tls.crt
          key_file: /etc/spanmesh-tls/tls.key
          {{- if $values.collector.tls.clientCertificates }}
          client_ca_file: /etc/spanmesh-tls/ca.crt
          client_ca_file_reload: true
          {{- end }}
          reload_interval: {{ $values.collector.tls.reloadInterval }}
        {{- end }}
      {{- end }}
processors:
  memory_limiter:
    limit_percentage: 60
    spike_limit_percentage: 15
  batch: {}
extensions:
  health_check:
    endpoint: {{ printf "%s:13133" $values.collector.listenAddress | quote }}
  {{- if include "spanmesh.persistent" . }}
  file_storage:
    directory: /var/lib/spanmesh
    max_size: {{ $values.gateway.persistence.maxSize }}
  {{- end }}
service:
  extensions:
    - health_check
    {{- if include "spanmesh.persistent" . }}
    - file_storage
    {{- end }}
  telemetry:
    logs:
      encoding: json
    metrics:
      readers:
        - pull:
            exporter:
              prometheus:
                host: {{ trimSuffix "]" (trimPrefix "[" $values.collector.listenAddress) | quote }}
                port: 8888
  pipelines:
    {{- range list "traces" "logs" "metrics" }}
    {{ . }}:
      receivers: [otlp]
      processors: [memory_limiter, batch]
    {{- end }}
{{- end }}

{{/* Where a layer sends if its values name no exporter: to the next layer, or to its log. */}}
{{- define "spanmesh.config.exporters" -}}
{{- $layers := eq .root.Values.mode "layers" -}}
{{- if and $layers (eq .layer "sidecar") -}}
otlp_grpc/agent:
  endpoint: {{ include "spanmesh.host" (list .root "spanmesh-collector-agent") }}:4317
  tls:
    insecure: true
{{- else if and $layers (eq .layer "agent") -}}
# The name of the headless Service leads to all pods, among which the exporter takes turns.
otlp_grpc/gateway:
  endpoint: {{ include "spanmesh.host" (list .root "spanmesh-collector-headless") }}:4317
  tls:
    {{- if .root.Values.collector.tls.enabled }}
    ca_file: /etc/spanmesh-tls/ca.crt
    {{- if .root.Values.collector.tls.clientCertificates }}
    cert_file: /etc/spanmesh-tls/tls.crt
    key_file: /etc/spanmesh-tls/tls.key
    {{- end }}
    reload_interval: {{ .root.Values.collector.tls.reloadInterval }}
    {{- else }}
    insecure: true
    {{- end }}
{{- else -}}
debug:
  verbosity: basic
{{- end -}}
{{- end }}
