"""CPU time per request of an Envoy: bare, with its own telemetry, with ours."""
