"""A function is asked in a process of its own, and whatever it does there harms nobody."""

from __future__ import annotations

import asyncio
import os
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

from modelserve._kit.waiting import wait_until
from modelserve.domain.rollouts import Outcome, Trials
from modelserve.observers.custom.python import PythonSource
from tests.processes import lives


@pytest.fixture
def module(tmp_path: Path, monkeypatch: Any) -> Any:
    """``module(code)``: the name of a module that Python finds."""
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")

    def write(code: str) -> str:
        name = f"m{uuid.uuid4().hex}"
        (tmp_path / f"{name}.py").write_text(code)
        return name

    return write


def limit(function: str) -> dict[str, Any]:
    return {"name": "spend", "kind": "limit", "limit": 1.0, "source": {"python": function}}


async def test_about_both_arms(module, watch, tmp_path):
    name = module(
        "from pathlib import Path\n"
        "def tell(service, revision, arm):\n"
        "    print('noise')\n"
        f"    return tuple(map(float, (Path({str(tmp_path)!r}) / revision).read_text().split()))\n"
    )
    (tmp_path / "ner-00001").write_text("100 1")
    (tmp_path / "ner-00002").write_text("10 0")
    rail = {"name": "refunds", "kind": "rate", "maxIncrease": "1%", "source": {"python": f"{name}:tell"}}
    seen = watch(rail, allow_code=True)
    await seen.begun()
    (tmp_path / "ner-00001").write_text("150 2")
    (tmp_path / "ner-00002").write_text("20 3")
    sighting = await seen.until(lambda s: s.outcomes, "the rise is told")
    assert sighting.outcomes == {"refunds": Outcome(Trials(50, 1), Trials(10, 3))}


async def test_only_where_the_operator_allows_code(module, watch, tmp_path):
    name = module(f"open({str(tmp_path / 'ran')!r}, 'w')\ndef tell(**_):\n    return 1\n")
    sighting = await watch(limit(f"{name}:tell")).until(lambda s: s.notes, "a note")
    assert sighting.values == {"spend": None}
    assert sighting.notes == (
        f"spend: the function {name}:tell may not run; the operator allows code with: "
        "modelserve up --allow-code",
    )
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("def tell(**_): return None", "returned None"),
        ("def tell(**_): return 'x'", 'returned "x"; it must return a number'),
        ("def tell(**_): return (1, 2)", "returned [1, 2]; it must return a number"),
        ("def tell(**_): return True", "returned true; it must return a number"),
        ("def tell(**_): return float('nan')", "returned NaN; it must return a number"),
        ("def tell(**_): return object()", 'returned "a object"; it must return a number'),
        ("def tell(**_): raise OSError('no\\nroute')", "raised OSError: no route"),
        ("def other(): pass", "can't be imported: AttributeError"),
        ("import nowhere_to_be_found", "can't be imported: ModuleNotFoundError"),
        ("import os\ndef tell(**_): os._exit(3)", "ended without an answer"),
        ("def tell(**_): return 'x' * 100_000", "returned more than 64 KiB"),
    ],
)
async def test_and_says_why_it_has_no_data(module, watch, code, said):
    name = module(code)
    sighting = await watch(limit(f"{name}:tell"), allow_code=True).until(lambda s: s.notes, "a note")
    assert sighting.values == {"spend": None}
    assert said in sighting.notes[0]


async def test_and_is_killed_with_all_it_started_when_it_hangs(module, watch, tmp_path, monkeypatch):
    monkeypatch.setattr(PythonSource, "patience", 3.0)
    pids = tmp_path / "pids"
    name = module(
        "import os, subprocess, time\n"
        "def tell(**_):\n"
        "    child = subprocess.Popen(['sleep', '600'])\n"
        f"    open({str(pids)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}')\n"
        "    time.sleep(600)\n"
    )
    seen = watch(limit(f"{name}:tell"), allow_code=True)
    sighting = await seen.until(lambda s: s.notes, "a note")
    assert sighting.notes[0].endswith("gave nothing within 3 s")
    await seen.observer.__aexit__()
    for pid in map(int, pids.read_text().split()):
        await wait_until(lambda pid=pid: not lives(pid), 10, "all that it started ends")


async def test_and_may_return_numpys_numbers(module, watch):
    name = module("import numpy\ndef tell(**_): return numpy.float32(0.5)")
    seen = watch(limit(f"{name}:tell"), allow_code=True)
    assert (await seen.until(lambda s: s.values, "a value")).values == {"spend": 0.5}


async def test_and_outlives_no_controller_that_is_killed(module, tmp_path):
    pid = tmp_path / "pid"
    name = module(
        "import os, time\n"
        f"def tell(**_):\n    open({str(pid)!r}, 'w').write(str(os.getpid()))\n    time.sleep(600)\n"
    )
    controller = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "import asyncio\n"
        "from modelserve.observers.custom.python import _run\n"
        f"asyncio.run(_run('{name}:tell', [{{}}]))",
    )
    await wait_until(lambda: pid.exists() and pid.read_text(), 20, "the function runs")
    controller.kill()
    await controller.wait()
    await wait_until(lambda: not lives(int(pid.read_text())), 10, "its process ends")
