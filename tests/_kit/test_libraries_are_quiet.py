"""Libraries that would tell their makers of our users are quiet, whoever imports us and however."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from modelserve._kit.quiet import SWITCHES

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "src" / "modelserve").rglob("*.py"))
LOAD = "onnxruntime.InferenceSession(sys.argv[1], providers=['CPUExecutionProvider'])"


def environment(folder: Path, **more: str) -> dict[str, str]:
    for name in ("user", "tmp"):
        (folder / name).mkdir()
    found = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    return {**found, "HOME": str(folder / "user"), "TMPDIR": str(folder / "tmp"), **more}


def left_by(folder: Path, code: str, *arguments: str, **more: str) -> list[Path]:
    """What a Python of its own leaves in an empty HOME and TMPDIR."""
    command = [sys.executable, "-c", f"import sys\n{code}", *arguments]
    subprocess.run(command, env=environment(folder, **more), cwd=folder, check=True, timeout=60)
    return sorted([*(folder / "user").rglob("*"), *(folder / "tmp").rglob("*")])


@pytest.mark.parametrize("told", ["", "0", "false"])
def test_onnxruntime_behind_its_door_whatever_the_operator_set(
    tmp_path: Path, double_model: Path, told: str
) -> None:
    code = f"from modelserve._kit.onnxruntime import onnxruntime\n{LOAD}"
    assert left_by(tmp_path, code, str(double_model), ORT_DISABLE_TELEMETRY=told) == []


def test_onnxruntime_where_a_package_is_opened_in_anybodys_program(
    tmp_path: Path, double_model: Path
) -> None:
    code = "from pathlib import Path\nfrom modelserve.packages import open_package\n"
    assert left_by(tmp_path, f"{code}open_package(Path(sys.argv[1]))", str(double_model)) == []


def test_matplotlib_behind_its_door(tmp_path: Path) -> None:
    code = """
from modelserve._kit.matplotlib import Figure
figure = Figure()
figure.add_subplot().set_title("a")
figure.savefig("a.png")
"""
    assert left_by(tmp_path, code) == []
    assert (tmp_path / "a.png").stat().st_size > 0


def test_matplotlib_keeps_its_list_where_the_user_said(tmp_path: Path) -> None:
    (tmp_path / "fonts").mkdir()
    code = "from modelserve._kit.matplotlib import Figure"
    assert left_by(tmp_path, code, MPLCONFIGDIR=str(tmp_path / "fonts")) == []
    assert [path.name.partition("-")[0] for path in (tmp_path / "fonts").iterdir()] == ["fontlist"]


def test_the_doors_leave_other_variables_as_they_were(tmp_path: Path) -> None:
    code = """
import os
before = dict(os.environ)
import modelserve._kit.onnxruntime, modelserve._kit.matplotlib
assert dict(os.environ) == before | {"ORT_DISABLE_TELEMETRY": "1"}, os.environ
"""
    left_by(tmp_path, code)


def test_a_program_that_imports_the_client_or_the_judge_keeps_its_environment(tmp_path: Path) -> None:
    code = """
import os
before = dict(os.environ)
from modelserve import AsyncClient, Client, Judge
assert dict(os.environ) == before
"""
    left_by(tmp_path, code)


def programs() -> list[str]:
    """Every module of ours that ``python -m`` runs."""
    found = [path for path in SOURCES if 'if __name__ == "__main__":' in path.read_text()]
    found += [path for path in SOURCES if path.name == "__main__.py" and path not in found]
    return [".".join(path.relative_to(ROOT / "src").with_suffix("").parts) for path in found]


def test_all_programs_are_found() -> None:
    known = {"modelserve.__main__", "modelserve.control.__main__", "modelserve.serving.__main__"}
    assert known < set(programs())


@pytest.mark.parametrize("program", programs())
def test_every_program_switches_them_off_before_all_else(tmp_path: Path, program: str) -> None:
    """Also one that was started by hand and has nothing to do."""
    code = """
import atexit, json, os, runpy
atexit.register(lambda: open("seen.json", "w").write(json.dumps(dict(os.environ))))
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""
    spoken = dict.fromkeys(SWITCHES, "0")
    subprocess.run(
        [sys.executable, "-c", f"import sys{code}", program],
        env=environment(tmp_path, **spoken),
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
    )
    seen = json.loads((tmp_path / "seen.json").read_text())
    assert {name: seen[name] for name in SWITCHES} == SWITCHES


def test_benchmarks_and_training_too(tmp_path: Path) -> None:
    """They import onnxruntime themselves, and start others' programs."""
    code = "import benchmarks, training\nimport onnxruntime"
    paths = os.pathsep.join([str(ROOT), str(ROOT / "src")])
    assert left_by(tmp_path, code, PYTHONPATH=paths) == []
