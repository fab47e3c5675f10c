"""A stub that misbehaves, and both clients behind one face."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from modelserve import AsyncClient, Client


class Waiting:
    """An AsyncClient called without ``await``, so that one suite runs over both clients."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._runner = asyncio.Runner()
        self._client = AsyncClient(*arguments, **options)

    def close(self) -> None:
        self._runner.run(self._client.close())
        self._runner.close()

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments, **options: self._runner.run(
            getattr(self._client, name)(*arguments, **options)
        )


@pytest.fixture(params=["threads", "asyncio"])
def connect(request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    """``connect(url, **options)``: a client, once of each kind; closed when the test ends."""
    with contextlib.ExitStack() as stack:

        def make(*arguments: Any, **options: Any) -> Any:
            made = (Client if request.param == "threads" else Waiting)(*arguments, **options)
            stack.callback(made.close)
            return made

        yield make


@pytest.fixture(scope="session")
def stubs(load_helper: Callable[[Path], ModuleType]) -> ModuleType:
    """The behaviours of a stub."""
    return load_helper(Path(__file__).with_name("stub.py"))


@pytest.fixture
def stub(stubs: ModuleType) -> Iterator[Callable[..., Any]]:
    """``stub(*behaviours)``: a server that plays them in order."""
    with contextlib.ExitStack() as stack:

        def make(*behaviours: Any) -> Any:
            made = stubs.Stub(*behaviours)
            stack.callback(made.close)
            return made

        yield make


@pytest.fixture
def rows() -> Any:
    return {"x": np.array([[1.5, 2.0], [3.0, -4.0]], np.float32)}
