"""Servers that the load is put on, and plans for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from modelserve.loadtest.plans import Plan
from modelserve.loadtest.wire import request


@pytest.fixture(scope="session")
def stages(load_helper: Callable[[Path], ModuleType]) -> ModuleType:
    """Servers in threads."""
    return load_helper(Path(__file__).with_name("stage.py"))


@pytest.fixture
def plan() -> Callable[..., Plan]:
    """``plan(port, **changes)``: half a second of load."""

    def make(port: int, **changes: object) -> Plan:
        sent = request("localhost", "/predict/m", {"content-type": "application/json"}, b'{"text": "a"}')
        told = {"requests": (sent,), "clients": 2, "duration": 0.5, "warm_up": 0.1, "timeout": 10.0}
        return Plan("127.0.0.1", port, **(told | changes))  # type: ignore[arg-type]

    return make
