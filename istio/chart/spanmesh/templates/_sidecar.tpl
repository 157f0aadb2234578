{{/*
The collector in each pod: a native sidecar, which starts before the containers of the pod and ends
after them. It has no probe that the pod's start or readiness waits for; but the pod does wait until
its image is pulled and the container is made, for which a Secret or ConfigMap that its environment
names would have to be there. So these are optional unless they say otherwise. Its configuration is in
its environment, since pods of other namespaces cannot mount a ConfigMap of this one; Kubernetes
replaces $$ there, hence the doubling.
Takes a list of the root and the configuration.
*/}}
{{- define "spanmesh.sidecar.pod" -}}
{{- $values := (index . 0).Values -}}
{{- $common := $values.collector -}}
{{- $env := list -}}
{{- range $common.extraEnv -}}
{{- $env = append $env (include "spanmesh.sidecar.optional" . | fromYaml) -}}
{{- end -}}
{{- $envFrom := list -}}
{{- range $common.extraEnvFrom -}}
{{- $envFrom = append $envFrom (include "spanmesh.sidecar.optional" (dict "valueFrom" .) | fromYaml).valueFrom -}}
{{- end -}}
spec:
  {{- with $values.image.pullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
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
        {{- with $env }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- with $envFrom }}
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
        {{- $user := dict "runAsNonRoot" true "runAsUser" 65532 "runAsGroup" 65532 "seccompProfile" (dict "type" "RuntimeDefault") }}
        {{- toYaml (mergeOverwrite $user $common.securityContext) | nindent 8 }}
{{- end }}

{{/* A variable whose Secret or ConfigMap need not be there, as YAML. Takes a variable. */}}
{{- define "spanmesh.sidecar.optional" -}}
{{- $variable := deepCopy . -}}
{{- range $key := list "secretKeyRef" "configMapKeyRef" "secretRef" "configMapRef" -}}
{{- with (index ($variable.valueFrom | default dict) $key) -}}
{{- if not (hasKey . "optional") }}{{ $_ := set . "optional" true }}{{ end -}}
{{- end -}}
{{- end -}}
{{ toYaml $variable }}
{{- end }}
