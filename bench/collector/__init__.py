"""CPU time per million spans of a collector: OTLP/gRPC in, batches, OTLP/gRPC out."""
