{{/*
Values that contradict each other. Each failure says which, and what to do.
*/}}
{{- define "spanmesh.validate" -}}
{{- $values := .Values -}}
{{- $errors := list -}}
{{- $istio := $values.istio -}}
{{- $layersOfMode := dict "deployment" (list "gateway") "statefulset" (list "gateway") "daemonset" (list "agent") "sidecar" (list "sidecar") "layers" (list "gateway" "agent" "sidecar") -}}
{{- range $layer := list "gateway" "agent" "sidecar" -}}
{{- $block := index $values $layer -}}
{{- if and (or $block.config $block.alternateConfig) (not (has $layer (index $layersOfMode $values.mode))) -}}
{{- $errors = append $errors (printf "%s.config is set, but mode %s has no %s: expected %s.config" $layer $values.mode $layer (first (index $layersOfMode $values.mode))) -}}
{{- end -}}
{{- if and $block.config $block.alternateConfig -}}
{{- $errors = append $errors (printf "%s.config and %s.alternateConfig are both set: the second stands in place of the first" $layer $layer) -}}
{{- end -}}
{{- end -}}
{{- if lt (int $values.collector.terminationGracePeriodSeconds) (add (int $values.collector.drainTimeoutSeconds) 10 | int) -}}
{{- $errors = append $errors (printf "collector.terminationGracePeriodSeconds is %d, expected at least collector.drainTimeoutSeconds (%d) and 10 more: Kubernetes would kill the collector while it delivers" (int $values.collector.terminationGracePeriodSeconds) (int $values.collector.drainTimeoutSeconds)) -}}
{{- end -}}
{{- with $values.gateway -}}
{{- if and .autoscaling.enabled (not (has "gateway" (index $layersOfMode $values.mode))) -}}
{{- $errors = append $errors (printf "gateway.autoscaling.enabled is true, but mode %s has no gateway" $values.mode) -}}
{{- end -}}
{{- if .autoscaling.enabled -}}
{{- if gt (int .autoscaling.minReplicas) (int .autoscaling.maxReplicas) -}}
{{- $errors = append $errors (printf "gateway.autoscaling.minReplicas is %d, expected no more than maxReplicas, %d" (int .autoscaling.minReplicas) (int .autoscaling.maxReplicas)) -}}
{{- end -}}
{{- if not (or .autoscaling.targetCPUUtilizationPercentage .autoscaling.targetMemoryUtilizationPercentage .autoscaling.queueSize.enabled) -}}
{{- $errors = append $errors "gateway.autoscaling.enabled is true without a metric: set targetCPUUtilizationPercentage, targetMemoryUtilizationPercentage or queueSize.enabled" -}}
{{- end -}}
{{- end -}}
{{- if and .podDisruptionBudget.enabled (ne (toString .podDisruptionBudget.minAvailable) "") (ne (toString .podDisruptionBudget.maxUnavailable) "") -}}
{{- $errors = append $errors "gateway.podDisruptionBudget.minAvailable and maxUnavailable are both set, expected one of them: empty the other, maxUnavailable: \"\"" -}}
{{- end -}}
{{- end -}}
{{- range $workload := include "spanmesh.workloads" . | fromJsonArray -}}
{{- if eq $workload.layer "gateway" -}}
{{- $wrong := get (dict "StatefulSet" "maxSurge" "Deployment" "partition") $workload.kind -}}
{{- if hasKey $values.gateway.rollingUpdate $wrong -}}
{{- $errors = append $errors (printf "gateway.rollingUpdate.%s is set, but a %s has none: expected %s" $wrong $workload.kind (ternary "maxUnavailable or partition" "maxUnavailable or maxSurge" (eq $workload.kind "StatefulSet"))) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and $values.agent.hostPort.enabled (not (has "agent" (index $layersOfMode $values.mode))) -}}
{{- $errors = append $errors (printf "agent.hostPort.enabled is true, but mode %s has no agent: expected daemonset or layers" $values.mode) -}}
{{- end -}}
{{- if and $values.agent.hostPort.enabled (hasKey $values.agent.rollingUpdate "maxSurge") -}}
{{- $errors = append $errors "agent.rollingUpdate.maxSurge is set with agent.hostPort.enabled: two pods of a node cannot have the same host ports" -}}
{{- end -}}
{{- if and $values.monitoring.serviceMonitor.enabled $values.monitoring.podMonitor.enabled -}}
{{- $errors = append $errors "monitoring.serviceMonitor.enabled and monitoring.podMonitor.enabled are both true: every collector would be scraped twice" -}}
{{- end -}}
{{- if and $values.monitoring.serviceMonitor.enabled (eq $values.mode "sidecar") -}}
{{- $errors = append $errors "monitoring.serviceMonitor.enabled is true, but mode sidecar has no Service: use monitoring.podMonitor" -}}
{{- end -}}
{{- with $values.collector.tls -}}
{{- if .enabled -}}
{{- if eq $values.mode "sidecar" -}}
{{- $errors = append $errors "collector.tls.enabled is true, but in mode sidecar the collector listens on the pod's loopback address only" -}}
{{- end -}}
{{- if and .certManager.enabled (not .certManager.issuerRef) -}}
{{- $errors = append $errors "collector.tls.certManager.enabled is true without an issuer: set collector.tls.certManager.issuerRef" -}}
{{- end -}}
{{- if $istio.injectCollector -}}
{{- $errors = append $errors "collector.tls.enabled and istio.injectCollector are both true: expected one of them, since the mesh encrypts already" -}}
{{- end -}}
{{- if and $istio.enabled $values.filter.enabled (not (and $istio.destinationRule.enabled (($istio.destinationRule.trafficPolicy).tls))) -}}
{{- $errors = append $errors "collector.tls.enabled is true, but the filters would speak plaintext to it: set istio.destinationRule.trafficPolicy.tls, as {mode: SIMPLE, caCertificates: …}" -}}
{{- end -}}
{{- else if .certManager.enabled -}}
{{- $errors = append $errors "collector.tls.certManager.enabled is true, but collector.tls.enabled is false" -}}
{{- end -}}
{{- end -}}
{{- range $policy := list "peerAuthentication" "authorizationPolicy" "requestAuthentication" -}}
{{- if and (index $istio $policy).enabled (not $istio.injectCollector) -}}
{{- $errors = append $errors (printf "istio.%s.enabled is true without istio.injectCollector: it is the proxy in the collector's pods that does it" $policy) -}}
{{- end -}}
{{- end -}}
{{- if and $istio.injectCollector (not $istio.enabled) -}}
{{- $errors = append $errors "istio.injectCollector is true, but istio.enabled is false" -}}
{{- end -}}
{{- with $istio.authorizationPolicy -}}
{{- if and .enabled (not (or .namespaces .principals .requestPrincipals)) -}}
{{- $errors = append $errors "istio.authorizationPolicy.enabled is true, but nobody may send: set namespaces, principals or requestPrincipals" -}}
{{- end -}}
{{- if and .enabled .requestPrincipals (not $istio.requestAuthentication.enabled) -}}
{{- $errors = append $errors "istio.authorizationPolicy.requestPrincipals is set, but no JWT is checked: set istio.requestAuthentication" -}}
{{- end -}}
{{- end -}}
{{- if and $istio.requestAuthentication.enabled (not $istio.requestAuthentication.jwtRules) -}}
{{- $errors = append $errors "istio.requestAuthentication.enabled is true without istio.requestAuthentication.jwtRules" -}}
{{- end -}}
{{- if and $istio.requestAuthentication.enabled (not $istio.authorizationPolicy.enabled) -}}
{{- $errors = append $errors "istio.requestAuthentication.enabled is true without istio.authorizationPolicy: requests without a token would pass" -}}
{{- end -}}
{{- with $istio.ingress -}}
{{- if .enabled -}}
{{- if not .hosts -}}
{{- $errors = append $errors "istio.ingress.enabled is true without istio.ingress.hosts" -}}
{{- end -}}
{{- if not .credentialName -}}
{{- $errors = append $errors "istio.ingress.enabled is true without istio.ingress.credentialName: OTLP from outside is taken over TLS only" -}}
{{- end -}}
{{- if eq $values.mode "sidecar" -}}
{{- $errors = append $errors "istio.ingress.enabled is true, but mode sidecar has no Service to lead to" -}}
{{- end -}}
{{- if and $istio.authorizationPolicy.enabled (not $istio.requestAuthentication.enabled) (not .mutual) -}}
{{- $errors = append $errors "istio.ingress.enabled and istio.authorizationPolicy.enabled are both true, but what comes through the gateway has the gateway's identity, whoever sent it: set istio.requestAuthentication, or istio.ingress.mutual" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and $values.filter.enabled $istio.enabled -}}
{{- if and (not $values.collector.enabled) (not ((($values.filter.config).exporter).clusters)) -}}
{{- $errors = append $errors "collector.enabled is false, and filter.config.exporter.clusters does not say where the filter sends" -}}
{{- end -}}
{{- $seen := dict -}}
{{- $whole := "" -}}
{{- range $target := $values.filter.targets -}}
{{- if hasKey $seen $target.name -}}
{{- $errors = append $errors (printf "filter.targets has two items of the name %s" $target.name) -}}
{{- end -}}
{{- $_ := set $seen $target.name true -}}
{{- if and $target.selector $target.targetRefs -}}
{{- $errors = append $errors (printf "filter.targets: %s has a selector and targetRefs, expected one of them" $target.name) -}}
{{- end -}}
{{- if and $target.match (eq $values.filter.api "EnvoyFilter") -}}
{{- $errors = append $errors (printf "filter.targets: %s has a match, which EnvoyFilter has not: use WasmPlugin or TrafficExtension" $target.name) -}}
{{- end -}}
{{- $module := mergeOverwrite (deepCopy $values.filter.module) (deepCopy ($target.module | default dict)) -}}
{{- if eq $values.filter.api "EnvoyFilter" -}}
{{- if not $module.sha256 -}}
{{- $errors = append $errors (printf "filter.targets: %s has no module.sha256, and Envoy refuses an EnvoyFilter's module without it: set filter.module.sha256" $target.name) -}}
{{- end -}}
{{- if or $module.imagePullSecret $module.imagePullPolicy -}}
{{- $errors = append $errors "filter.module.imagePullSecret and imagePullPolicy are not for EnvoyFilter: use WasmPlugin or TrafficExtension" -}}
{{- end -}}
{{- end -}}
{{- $namespace := $target.namespace | default $istio.rootNamespace -}}
{{- if and (eq $namespace $istio.rootNamespace) (not $target.selector) (not $target.targetRefs) -}}
{{- $whole = $target.name -}}
{{- end -}}
{{- end -}}
{{- range $target := $values.filter.targets -}}
{{- if and $whole (ne $target.name $whole) (not $target.targetRefs) -}}
{{- $errors = append $errors (printf "filter.targets: %s is the whole mesh, so proxies of %s would have the filter twice: leave one of them out, or have a target for each namespace in place of the whole mesh" $whole $target.name) -}}
{{- end -}}
{{- end -}}
{{- range $i, $one := $values.filter.targets -}}
{{- range $j, $other := $values.filter.targets -}}
{{- if and (lt $i $j) (not $one.selector) (not $one.targetRefs) (not $other.targetRefs) (ne $one.name $whole) (ne $other.name $whole) (eq ($one.namespace | default $istio.rootNamespace) ($other.namespace | default $istio.rootNamespace)) -}}
{{- $errors = append $errors (printf "filter.targets: %s is the whole namespace of %s, whose proxies would have the filter twice" $one.name $other.name) -}}
{{- else if and (lt $i $j) (not $other.selector) (not $one.targetRefs) (not $other.targetRefs) (ne $one.name $whole) (ne $other.name $whole) (eq ($one.namespace | default $istio.rootNamespace) ($other.namespace | default $istio.rootNamespace)) -}}
{{- $errors = append $errors (printf "filter.targets: %s is the whole namespace of %s, whose proxies would have the filter twice" $other.name $one.name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if $errors -}}
{{- fail (printf "\n\nThe values contradict each other:\n  - %s\n" (join "\n  - " $errors)) -}}
{{- end -}}
{{- end }}
