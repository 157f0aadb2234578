"""The rig of the end-to-end tests and the demo: real processes on free ports.

`process` starts and stops programs, `envoy`, `collector` and `services` know what each of them
needs, `sink` is an OTLP server of our own for what the filter sends, `mesh` puts them together,
`driver` makes requests and remembers every one, `accounting` proves that each request's spans and
access log records arrived, no more and no fewer.
"""
