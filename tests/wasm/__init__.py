"""The filter's module under a proxy of our own, which can answer in ways that Envoy never would.

`vm` runs the module and speaks the ABI, `host` answers as Envoy does, `hostile` as nobody should;
`life` plays what a proxy plays, in any order that the ABI allows.
"""
