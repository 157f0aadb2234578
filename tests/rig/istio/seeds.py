"""Errors to sow into good manifests, to prove that the checks of `validation` can fail.

An error is of the kind that people make: a misspelt key, a value out of its range, a reference to
nothing. For each it is known which of the checks has to see it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rig.istio import validation
from rig.istio.manifests import Object

RIG = "rig check"
VALIDATE = "istioctl validate"
ANALYZE = "istioctl analyze"

CHECKS: dict[str, Callable[[Sequence[Path]], list[str]]] = {
    RIG: validation.rig_check,
    VALIDATE: validation.validate,
    ANALYZE: validation.analyze,
}
"""The checks by their names."""


@dataclass(frozen=True)
class Seed:
    """An error, the kind of object that can have it, and the checks that have to see it."""

    name: str
    kind: str
    spoil: Callable[[Object], None]
    seen_by: frozenset[str]


def sown(objects: Sequence[Object]) -> Iterator[tuple[Seed, list[Object]]]:
    """For each error that fits, return it and the objects with it in the first that can have it."""
    for seed in SEEDS:
        spoilt = [deepcopy(one) for one in objects]
        victim = next((one for one in spoilt if one["kind"] == seed.kind), None)
        if victim is not None:
            seed.spoil(victim)
            yield seed, spoilt


def _set(path: str, value: object, one: Object) -> None:
    """Set a value; a number in the path is a list's index."""
    *way, last = path.split("/")
    target = one
    for step in way:
        target = target[int(step)] if isinstance(target, list) else target.setdefault(step, {})
    target[last] = value


def _rename(path: str, name: str, one: Object) -> None:
    """Give a key another name."""
    *way, last = path.split("/")
    target = one
    for step in way:
        target = target[int(step)] if isinstance(target, list) else target[step]
    target[name] = target.pop(last)


def _wasm_of(one: Object) -> Object:
    """Return the Wasm configuration of an EnvoyFilter."""
    (found,) = [p for p in one["spec"]["configPatches"] if p["applyTo"] == "EXTENSION_CONFIG"]
    return found["patch"]["value"]["typed_config"]


def _target_and_selector(one: Object) -> None:
    one["spec"]["selector"] = {"matchLabels": {"app": "app"}}
    target = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "gateway"}
    one["spec"]["targetRefs"] = [target]


def _seeds(kind: str, *seeds: tuple[str, Callable[[Object], None], set[str]]) -> list[Seed]:
    return [Seed(f"{kind}: {name}", kind, spoil, frozenset(by)) for name, spoil, by in seeds]


_BOTH = {RIG, VALIDATE}

SEEDS = [
    *_seeds(
        "WasmPlugin",
        ("unknown key", partial(_set, "spec/pluginConfg", {}), _BOTH),
        ("unknown value", partial(_set, "spec/failStrategy", "OPEN"), _BOTH),
        ("unknown scheme", partial(_set, "spec/url", "ftp://x/y.wasm"), _BOTH),
        ("selector and target", _target_and_selector, _BOTH),
        ("digest of another form", partial(_set, "spec/sha256", "abc"), _BOTH),
    ),
    *_seeds(
        "TrafficExtension",
        ("unknown key", partial(_set, "spec/wasm/urll", "x"), _BOTH),
        ("Lua too", partial(_set, "spec/lua", {"inlineCode": "x"}), {RIG}),
        ("unknown phase", partial(_set, "spec/phase", "FIRST"), _BOTH),
    ),
    *_seeds(
        "EnvoyFilter",
        (
            "unknown operation",
            partial(_set, "spec/configPatches/0/patch/operation", "INSERT_FRIST"),
            _BOTH,
        ),
        (
            "misspelt key of Envoy's",
            lambda one: _set("config/failure_polcy", "FAIL_OPEN", _wasm_of(one)),
            _BOTH,
        ),
        (
            "unknown type of Envoy's",
            lambda one: _set("@type", "type.googleapis.com/envoy.Wasmm", _wasm_of(one)),
            _BOTH,
        ),
    ),
    *_seeds(
        "Telemetry",
        (
            "share above 100",
            partial(_set, "spec/tracing", [{"randomSamplingPercentage": 150}]),
            _BOTH,
        ),
        ("unknown key", partial(_set, "spec/tracingg", []), _BOTH),
    ),
    *_seeds(
        "PeerAuthentication",
        ("unknown mode", partial(_set, "spec/mtls/mode", "ON"), _BOTH),
    ),
    *_seeds(
        "DestinationRule",
        (
            "unknown policy",
            partial(_set, "spec/trafficPolicy/connectionPool/http/h2UpgradePolicy", "YES"),
            _BOTH,
        ),
        ("no host", partial(_set, "spec/host", ""), _BOTH),
        ("misspelt key", partial(_rename, "spec/host", "hosts"), _BOTH),
    ),
    *_seeds(
        "AuthorizationPolicy",
        ("unknown action", partial(_set, "spec/action", "PASS"), _BOTH),
    ),
    *_seeds(
        "RequestAuthentication",
        ("no issuer", partial(_set, "spec/jwtRules", [{"issuer": ""}]), _BOTH),
    ),
    *_seeds(
        "VirtualService",
        ("no hosts", partial(_set, "spec/hosts", []), _BOTH),
        ("a gateway that is not there", partial(_set, "spec/gateways", ["nowhere"]), {ANALYZE}),
    ),
    *_seeds(
        "Gateway",
        ("port out of range", partial(_set, "spec/servers/0/port/number", 70000), _BOTH),
    ),
    *_seeds(
        "Sidecar",
        ("egress without hosts", partial(_set, "spec/egress", [{"hosts": []}]), _BOTH),
    ),
    *_seeds(
        "ServiceEntry",
        ("no hosts", partial(_set, "spec/hosts", []), _BOTH),
    ),
]
"""Errors of Istio's kinds."""
