"""Manifests held against what Istio holds them against. Each check returns what is wrong.

`rig_check` does what an API server with Istio's CRDs does, and Istio's webhook; `validate` and
`analyze` are the two of istioctl. Each sees something that the others do not: `validate` also looks
at Service ports and Deployment labels, and `analyze` at how objects fit together.

A run takes seconds, most of them to read Istio's CRDs: give one run all files.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from rig.istio.tools import tool
from rig.process import RigError

# In the warning that Istio has for every EnvoyFilter, good or bad.
_EVERY_ENVOY_FILTER = "EnvoyFilter exposes internal implementation details"

# A file, the number of the document in it, the object, and what is said of it.
_VERDICT = re.compile(r"\S.*#\d+ \w+ \S*: ")

_TIMEOUT = 150
"""Seconds that one run may take, on a machine that does other things too."""


def rig_check(files: Sequence[Path], crds: Iterable[Path] = ()) -> list[str]:
    """Check objects against their CRDs with the CEL rules, and Istio's webhook validation.

    Warnings count as wrong. Kinds without a CRD are left out: `crds` adds files with more CRDs.
    """
    more = [part for path in crds for part in ("-crds", str(path))]
    done = _run([tool("rig"), "check", *more, *files])
    verdicts = [line for line in done.stdout.splitlines() if _VERDICT.match(line)]
    wrong = [line for line in verdicts if not line.endswith(": ok")]
    if done.returncode != 0 and not wrong:
        raise RigError(f"rig check: {done.stderr.strip()}")
    return wrong


def validate(files: Sequence[Path]) -> list[str]:
    """Run `istioctl validate`: its errors and warnings.

    What it says of a Deployment without Istio's labels for metrics is no warning.
    """
    arguments = [part for path in files for part in ("-f", str(path))]
    done = _run([tool("istioctl"), "validate", *arguments])
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines()]
    wrong = [line for line in lines if line.startswith("* ") and _EVERY_ENVOY_FILTER not in line]
    if done.returncode != 0 and not wrong:
        return lines
    return wrong


def analyze(files: Sequence[Path], *, ignore: Iterable[str] = ()) -> list[str]:
    """Run `istioctl analyze` on all files together, as they would be in one cluster.

    Informational messages do not count, and neither do the codes to ignore, such as "IST0127".
    """
    done = _run(
        [tool("istioctl"), "analyze", "--use-kube=false", "-A", "-o", "json", *map(str, files)]
    )
    # What it cannot parse it says before, on standard output too.
    start = re.search(r"^\[", done.stdout, re.MULTILINE)
    if start is None:
        raise RigError(f"istioctl analyze: {done.stdout}{done.stderr}")
    messages = json.loads(done.stdout[start.start() :])
    ignored = set(ignore)
    return [
        f"{one['level']} [{one['code']}] {one.get('origin', '')}: {one['message']}"
        for one in messages
        if one["level"] != "Info"
        and one["code"] not in ignored
        and _EVERY_ENVOY_FILTER not in one["message"]
    ]


def _run(argv: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in argv],
        capture_output=True,
        text=True,
        check=False,
        timeout=_TIMEOUT,
        # istioctl looks for a cluster otherwise.
        env={"HOME": "/nonexistent", "PATH": "/usr/bin:/bin", "KUBECONFIG": "/nonexistent"},
    )
