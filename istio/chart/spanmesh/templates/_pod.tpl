{{/*
The pod of a workload. Takes a workload.
*/}}

{{- define "spanmesh.pod" -}}
{{- $values := .root.Values -}}
{{- $layer := index $values .layer -}}
{{- $common := $values.collector -}}
metadata:
  labels:
    {{- include "spanmesh.selector" . | nindent 4 }}
    app.kubernetes.io/part-of: spanmesh
    app.kubernetes.io/component: {{ .layer }}
    # By these Istio's own metrics name a workload.
    app: {{ .name }}
    version: {{ .root.Chart.AppVersion | quote }}
    {{- with $values.commonLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    sidecar.istio.io/inject: {{ and $values.istio.enabled $values.istio.injectCollector | toString | quote }}
    {{- with $common.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with include "spanmesh.pod.annotations" . | trim }}
  annotations:
    {{- . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: {{ include "spanmesh.serviceAccount" .root }}
  automountServiceAccountToken: false
  {{- with $values.image.pullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  terminationGracePeriodSeconds: {{ $common.terminationGracePeriodSeconds }}
  securityContext:
    {{- toYaml $common.podSecurityContext | nindent 4 }}
  {{- with $layer.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with $layer.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $layer.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if $layer.affinity }}
  affinity:
    {{- toYaml $layer.affinity | nindent 4 }}
  {{- else if and $layer.antiAffinity (ne $layer.antiAffinity "none") }}
  affinity:
    podAntiAffinity:
      {{- if eq $layer.antiAffinity "hard" }}
      requiredDuringSchedulingIgnoredDuringExecution:
        - topologyKey: kubernetes.io/hostname
          labelSelector:
            matchLabels:
              {{- include "spanmesh.selector" . | nindent 14 }}
      {{- else }}
      preferredDuringSchedulingIgnoredDuringExecution:
        - weight: 100
          podAffinityTerm:
            topologyKey: kubernetes.io/hostname
            labelSelector:
              matchLabels:
                {{- include "spanmesh.selector" . | nindent 16 }}
      {{- end }}
  {{- end }}
  {{- with $layer.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- range . }}
    - {{ toYaml (merge (deepCopy .) (dict "labelSelector" (dict "matchLabels" (fromYaml (include "spanmesh.selector" $))))) | nindent 6 | trim }}
    {{- end }}
  {{- end }}
  containers:
    - name: spanmesh-collector
      image: {{ include "spanmesh.image" .root }}
      imagePullPolicy: {{ $values.image.pullPolicy }}
      args:
        - --config=/etc/spanmesh/collector.yaml
        - --drain-timeout={{ $common.drainTimeoutSeconds }}
        {{- if $common.watch }}
        - --watch
        {{- end }}
        {{- range $common.extraArgs }}
        - {{ . | quote }}
        {{- end }}
      ports:
        - name: grpc-otlp
          containerPort: 4317
          {{- if and (eq .kind "DaemonSet") $layer.hostPort.enabled }}
          hostPort: 4317
          {{- end }}
        - name: http-otlp
          containerPort: 4318
          {{- if and (eq .kind "DaemonSet") $layer.hostPort.enabled }}
          hostPort: 4318
          {{- end }}
        - name: http-metrics
          containerPort: 8888
        - name: http-health
          containerPort: 13133
        {{- range $common.extraPorts }}
        - name: {{ .name }}
          containerPort: {{ .containerPort }}
        {{- end }}
      {{- range $probe := list "startupProbe" "readinessProbe" "livenessProbe" }}
      {{- with index $common $probe }}
      {{ $probe }}:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- end }}
      {{- with $common.extraEnv }}
      env:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $common.extraEnvFrom }}
      envFrom:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      resources:
        {{- toYaml $layer.resources | nindent 8 }}
      securityContext:
        {{- toYaml $common.securityContext | nindent 8 }}
      volumeMounts:
        - name: config
          mountPath: /etc/spanmesh
          readOnly: true
        {{- if $common.tls.enabled }}
        - name: tls
          mountPath: /etc/spanmesh-tls
          readOnly: true
        {{- end }}
        {{- if include "spanmesh.persistent" . }}
        - name: queues
          mountPath: /var/lib/spanmesh
        {{- end }}
        {{- with $common.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    - name: config
      configMap:
        name: {{ .name }}
    {{- if $common.tls.enabled }}
    - name: tls
      secret:
        secretName: {{ $common.tls.secretName }}
    {{- end }}
    {{- with $common.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}

{{- define "spanmesh.pod.annotations" -}}
{{- $values := .root.Values -}}
{{- $common := $values.collector -}}
{{- if not $common.watch }}
checksum/config: {{ include "spanmesh.config" . | sha256sum }}
{{- end }}
{{- if and $values.istio.enabled $values.istio.injectCollector }}
# Prometheus and the kubelet have no identity in the mesh.
traffic.sidecar.istio.io/excludeInboundPorts: "8888,13133"
# The collector's last deliveries need a proxy.
proxy.istio.io/config: '{"holdApplicationUntilProxyStarts": true, "terminationDrainDuration": "{{ $common.terminationGracePeriodSeconds }}s"}'
{{- end }}
{{- if not (or $values.monitoring.serviceMonitor.enabled $values.monitoring.podMonitor.enabled) }}
prometheus.io/scrape: "true"
prometheus.io/port: "8888"
prometheus.io/path: /metrics
{{- end }}
{{- with $common.podAnnotations }}
{{- toYaml . | nindent 0 }}
{{- end }}
{{- end }}
