"""W3C Trace Context through a real Envoy: the wiring, and a runner of the official suite."""
