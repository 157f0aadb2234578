"""What a report says of the machine."""

from __future__ import annotations

import platform

import pytest
from rig.process import ROOT

from bench import report


def test_a_machine_has_no_more_of_its_kernel_than_major_and_minor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(platform, "release", lambda: "6.18.44-vendor-build7")
    assert ", Linux 6.18, " in report.machine()


def test_no_document_names_a_kernels_build() -> None:
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        for line in path.read_text().splitlines():
            _, named, rest = line.partition(", Linux ")
            assert not named or rest.split(",")[0].count(".") == 1, f"{path.name}: {line}"
