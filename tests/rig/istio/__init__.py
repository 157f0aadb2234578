"""Istio's own programs as test tools: checks of manifests, a control plane, proxies, the agent."""
