import os
from pathlib import Path

import pytest

from benchmarks.serving import report
from benchmarks.serving.lineup import Effort
from benchmarks.serving.results import Check, Result

EFFORT = Effort(rounds=3, seconds=1.5, servers=frozenset(), requests=1)


def results() -> list[Result]:
    rows = [{"server": "modelserve", "requests/s": 1234.0}]
    return [
        Result("a", "One", rows, [Check("share", 0.5, 0.9)]),
        Result("b", "Two", rows, [Check("x", 1.0, 0.9)]),
    ]


def test_tells_the_machine_the_effort_and_every_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "PAGE", tmp_path / "new" / "serving.md")
    report.write_docs(results(), EFFORT)
    page = report.PAGE.read_text()
    assert f"{os.cpu_count()} cores" in page
    assert "3 rounds of 1.5 s each" in page
    assert "## One" in page
    assert "## Two" in page
    assert "1 of 2 goals met\n- a: share: 0.50 (goal ≥ 0.90, **short**)" in page


def test_names_the_versions_of_all_servers() -> None:
    machine = report.machine()
    assert {"date", "processor", "onnxruntime", "fastapi", "mosec", "litserve"} <= machine.keys()
    assert all(machine.values())
