from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import pytest_asyncio

from modelserve._kit.ports import free_port
from modelserve.domain.routes import Backend, RouteTable, ServiceRoute, Weight
from modelserve.routers.envoy import EnvoyRouter


@pytest.fixture(scope="session")
def lab(load_helper: Callable[[Path], ModuleType]) -> ModuleType:
    """Upstream processes, a small HTTP client and load."""
    return load_helper(Path(__file__).with_name("lab.py"))


@pytest.fixture(scope="session")
def upstreams(lab: ModuleType) -> Iterator[Any]:
    pool = lab.Upstreams()
    yield pool
    pool.end()


@pytest.fixture
def upstream(upstreams: Any) -> Iterator[Callable[..., Any]]:
    """Lends a stand-in for a model server by its name."""
    yield upstreams.start
    upstreams.take_back()


@pytest.fixture
def two_arms() -> Callable[..., RouteTable]:
    """The table of service ``ner`` with stable ``ner-1`` and candidate ``ner-2``."""

    def table(stable: list[Any], candidate: list[Any], percent: float = 50.0, **more: Any) -> RouteTable:
        weights = (Weight("ner-1", 100 - percent), Weight("ner-2", percent, "candidate"))
        backends = (
            Backend("ner-1", tuple(one.endpoint for one in stable)),
            Backend("ner-2", tuple(one.endpoint for one in candidate)),
        )
        return RouteTable((ServiceRoute("ner", weights, backends, "ner-1", **more),))

    return table


@pytest.fixture(scope="session")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EnvoyRouter]:
    """A front door that runs for the whole session; each test applies its own table."""
    router = EnvoyRouter(tmp_path_factory.mktemp("door"), port=free_port())
    asyncio.run(router.start())
    yield router
    asyncio.run(router.stop())


@pytest.fixture
def port(door: EnvoyRouter) -> int:
    """Where ``door`` listens."""
    return door.port


@pytest.fixture
def another_port() -> int:
    return free_port()


@pytest_asyncio.fixture
async def own_door(tmp_path: Path, another_port: int) -> AsyncIterator[EnvoyRouter]:
    """A front door of the test's own, to be killed as it likes, on ``another_port``."""
    router = EnvoyRouter(tmp_path / "door", port=another_port)
    await router.start()
    yield router
    await router.stop()
