"""The demo ends by itself with status 0 and prints what it promises."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys

from rig import http
from rig.process import ROOT, Run

DEMO = [sys.executable, "-m", "demo"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{ROOT / 'tests'}:{ROOT / 'envoy'}"}


def test_the_demo_ends_with_its_account() -> None:
    done = subprocess.run(
        DEMO, env=ENVIRONMENT, capture_output=True, text=True, timeout=170, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the account holds" in done.stdout
    tree = re.findall(r"^  .*(frontend|cart|inventory) +GET +(SERVER|CLIENT)", done.stdout, re.M)
    assert [service for service, _ in tree] == ["frontend", "frontend", "cart", "cart", "inventory"]
    assert (
        len(re.findall(r"^  ERROR .* trace=[0-9a-f]{32} span=[0-9a-f]{16}$", done.stdout, re.M))
        == 5
    )
    assert re.search(r"traces: (\d+) of \1 complete, 0 orphans", done.stdout)


def test_the_demo_keeps_running_until_it_is_interrupted(run: Run) -> None:
    # As a shell starts it in the background: with the signal ignored.
    argv = ["sh", "-c", "trap '' INT; exec \"$@\"", "sh", *DEMO, "--keep"]
    process = run.spawn("demo", argv, {"PYTHONPATH": ENVIRONMENT["PYTHONPATH"]})
    process.wait_until(lambda: "until Ctrl-C" in process.tail(), "the demo was running", 120)
    found = re.search(r"curl http://127\.0\.0\.1:(\d+)/checkout", process.tail(40))
    assert found is not None
    port = int(found[1])
    assert http.request(port, "/checkout").status == 200
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
    try:
        http.request(port, "/checkout", timeout=2)
    except OSError:
        return
    raise AssertionError("the demo's Envoy still runs")
