"""Mutated bodies are read or refused: a taste of ``make fuzz``, which throws a million at every decoder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_are_read_or_refused_as_the_clients_fault() -> None:
    command = [sys.executable, "-m", "tests.surface.fuzz_bodies", "--inputs", "8000", "--seed", "1"]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "nothing but the client's faults" in done.stdout
    assert "binary: read" in done.stdout, "no input came through"
    assert done.stderr == ""
