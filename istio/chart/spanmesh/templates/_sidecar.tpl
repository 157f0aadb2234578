{{/*
The collector in each pod: a native sidecar, which starts before the containers of the pod and ends
after them. It has no probe that the pod's start or readiness waits for, so that it cannot keep a
service from running. Its configuration is in its environment, since pods of other namespaces cannot
mount a ConfigMap of this one; Kubernetes replaces $$ there, hence the doubling.
Takes a list of the root and the configuration.
*/}}
{{- define "spanmesh.sidecar.pod" -}}
{{- $values := (index . 0).Values -}}
{{- $common := $values.collector -}}
spec:
  initContainers:
    - name: spanmesh-collector
      image: {{ include "spanmesh.image" (index . 0) }}
      imagePullPolicy: {{ $values.image.pullPolicy }}
      restartPolicy: Always
      args:
        - --config=env:SPANMESH_CONFIG
        - --drain-timeout={{ $common.drainTimeoutSeconds }}
        {{- range $common.extraArgs }}
        - {{ . | quote }}
        {{- end }}
      env:
        - name: SPANMESH_CONFIG
          value: |
            {{- index . 1 | replace "$" "$$" | nindent 12 }}
        {{- with $common.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- with $common.extraEnvFrom }}
      envFrom:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      ports:
        - name: http-metrics
          containerPort: 8888
        - name: http-health
          containerPort: 13133
      {{- with $common.livenessProbe }}
      livenessProbe:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      resources:
        {{- toYaml $values.sidecar.resources | nindent 8 }}
      securityContext:
        runAsNonRoot: true
        runAsUser: 65532
        runAsGroup: 65532
        seccompProfile:
          type: RuntimeDefault
        {{- toYaml $common.securityContext | nindent 8 }}
{{- end }}
