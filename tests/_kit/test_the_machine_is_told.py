"""What the process may use of its machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from modelserve._kit.machine import cpu_model, usable_cores

BOUND = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("quota", "cores"),
    [
        ("max 100000", BOUND),
        ("100000 100000", 1),
        ("50000 100000", 1),
        ("99900000 100000", BOUND),
        ("", BOUND),
        ("x y", BOUND),
    ],
)
def test_cores_are_bounded_by_the_containers_quota(tmp_path: Path, quota: str, cores: int) -> None:
    file = tmp_path / "cpu.max"
    file.write_text(quota)
    assert usable_cores(file) == cores
    assert usable_cores(tmp_path / "missing") == BOUND


def test_the_processor_has_a_name(tmp_path: Path) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text("processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\n")
    assert cpu_model(info) == "Some CPU @ 2 GHz"
    assert cpu_model(tmp_path / "missing")
