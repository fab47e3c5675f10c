"""docs/how-to/python-client.md: its examples run, from top to bottom, as one program."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "python-client.md"


def test_its_examples_run_as_they_stand(ner: str, capsys: pytest.CaptureFixture[str]) -> None:
    program = "\n".join(re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL))
    names: dict[str, Any] = {}
    exec(compile(program.replace("http://127.0.0.1:8080", ner), PAGE.name, "exec"), names)
    for client in ("client", "patient", "never"):
        names[client].close()
    printed = capsys.readouterr().out
    assert "LOC London 36 42" in printed
    assert "unknown_model 404" in printed
