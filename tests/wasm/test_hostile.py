"""No answer and no order of callbacks traps: a trap is an exception of `wasmtime`.

After each the proxy turns honest, and a new configuration in the same VM works as ever.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from rig.programs import filter_module

from wasm.host import headers
from wasm.hostile import (
    ALL_STATUSES,
    BYTES,
    GARBAGE_NUMBERS,
    HOSTILE_HEADERS,
    Hostile,
    RandomLife,
    garbage,
    spoil_randomly,
)
from wasm.life import Worker
from wasm.vm import IMPORTS, OK, Answer

ANSWERED = sorted(
    name
    for functions in IMPORTS.values()
    for name in functions
    if name not in {"proc_exit", "fd_write"}
)
"""The functions that the filter calls; the two that are left out are std's, for its last words."""

MAX_MEMORY = 96 * 1024 * 1024


def play(spoil: Callable[[str, Answer], Answer], *, honest_start: bool = False) -> None:
    """Play a life with each kind of callback, and one after it."""
    host = Hostile(environment={"OTEL_SERVICE_NAME": "x"})
    host.spoil = None if honest_start else spoil
    worker = Worker(filter_module(), host)
    options = {"propagators": ["tracecontext", "b3multi"], "batch": {"max_records": 4}}
    worker.configure(**options)
    worker.tick()
    host.spoil = spoil
    for request in [[], [HOSTILE_HEADERS[0]], [HOSTILE_HEADERS[4]], HOSTILE_HEADERS]:
        worker.request([*headers(), *request])
        worker.request([*headers(), *request], rejected_earlier=True)
        worker.tick()
    worker.answer_all(b"\x0a\x04\x08\x01\x12\x00")
    worker.request()
    worker.tick(60)
    worker.answer_all(status=14)
    new = worker.new_root()
    worker.configure(new, **options)
    if not worker.vm.done(worker.root):
        worker.tick(60)
    worker.vm.delete(worker.root)
    works_as_ever(worker)


def works_as_ever(worker: Worker) -> None:
    """A new root context with an honest proxy does all that it should."""
    host = worker.host
    assert isinstance(host, Hostile)
    host.spoil = None
    host.calls.clear()
    host.metrics.clear()
    host.environment.clear()
    root = worker.new_root()
    assert worker.configure(root)
    worker.request(root=root)
    worker.tick(root=root)
    telemetry = worker.telemetry()
    assert [len(telemetry.spans), len(telemetry.logs)] == [1, 1]
    for call in host.calls:
        worker.vm.receive(root, call.token, 0)
    worker.tick(root=root)
    assert (worker.stats()["spans.sent"], worker.stats()["logs.sent"]) == (1, 1)
    assert not [line for _, line in host.lines if "panicked" in line]
    assert worker.vm.memory_size < MAX_MEMORY


@pytest.mark.parametrize("function", ANSWERED)
def test_a_function_may_answer_any_status(function: str) -> None:
    for status in ALL_STATUSES:
        for writes in [True, False]:

            def spoil(name: str, honest: Answer, status: int = status, w: bool = writes) -> Answer:
                return Answer(status, honest.values if w else ()) if name == function else honest

            play(spoil, honest_start=not writes)


@pytest.mark.parametrize("function", ANSWERED)
def test_a_function_may_write_any_garbage(function: str) -> None:
    layout = next(functions[function] for functions in IMPORTS.values() if function in functions)
    kinds = list(BYTES) if set(layout) & set("df") else ["nothing"]
    rng = random.Random(function)
    for kind in kinds:

        def spoil(name: str, honest: Answer, kind: str = kind) -> Answer:
            if name != function:
                return honest
            values = [garbage(value, kind, rng) for value in honest.values or [b"found"]]
            return Answer(OK, values)

        play(spoil)
        play(spoil, honest_start=True)


@pytest.mark.parametrize("number", GARBAGE_NUMBERS)
def test_every_number_may_be_garbage(number: int) -> None:
    def spoil(_name: str, honest: Answer) -> Answer:
        values = [number if isinstance(value, int) else value for value in honest.values]
        return Answer(OK, values)

    play(spoil)
    play(spoil, honest_start=True)


@pytest.mark.parametrize("status", ALL_STATUSES)
def test_all_functions_may_answer_the_same_status(status: int) -> None:
    for writes in [True, False]:

        def spoil(_name: str, honest: Answer, writes: bool = writes) -> Answer:
            return Answer(status, honest.values if writes else ())

        play(spoil)
        play(spoil, honest_start=True)


@pytest.mark.parametrize(
    "lives", [80, pytest.param(20_000, marks=[pytest.mark.soak, pytest.mark.timeout(3600)])]
)
def test_anything_may_come_in_any_order(lives: int) -> None:
    for seed in range(lives):
        rng = random.Random(seed)
        host = Hostile(environment={"OTEL_TRACES_SAMPLER": "always_on"})
        host.spoil = spoil_randomly(rng, rng.choice([0, 0.01, 0.1, 0.5, 1]))
        try:
            worker = Worker(filter_module(), host)
            life = RandomLife(worker, rng)
            for _ in range(rng.randrange(10, 200)):
                life.step()
            life.end()
            works_as_ever(worker)
        except Exception as error:
            raise AssertionError(f"in the life of seed {seed}") from error
