"""One suite for the port, over every adapter."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from modelserve._kit.ports import free_port
from modelserve._kit.waiting import wait_until
from modelserve.domain.routes import Backend, Endpoint, RouteTable, ServiceRoute, Weight
from modelserve.routers.base import Router
from modelserve.routers.envoy import EnvoyRouter
from modelserve.routers.memory import MemoryRouter


def table(percent: float) -> RouteTable:
    nobody = (Endpoint("127.0.0.1", 1),)
    weights = (Weight("ner-1", 100 - percent), Weight("ner-2", percent, "candidate"))
    backends = (Backend("ner-1", nobody), Backend("ner-2", nobody))
    return RouteTable((ServiceRoute("ner", weights, backends, "ner-1"),))


@pytest_asyncio.fixture(params=["memory", "envoy"])
async def router(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Router]:
    if request.param == "memory":
        yield MemoryRouter()
        return
    envoy = EnvoyRouter(tmp_path, port=free_port())
    await envoy.start()
    yield envoy
    await envoy.stop()


async def in_force(router: Router, wanted: RouteTable) -> None:
    await wait_until(lambda: router.in_force(wanted), 10, "the table is in force")


async def test_a_table_that_was_applied_comes_in_force(router: Router) -> None:
    assert not await router.in_force(table(5))
    await router.apply(table(5))
    await in_force(router, table(5))


async def test_only_the_last_table_is_in_force(router: Router) -> None:
    for percent in (5, 25, 50):
        await router.apply(table(percent))
    await in_force(router, table(50))
    assert not await router.in_force(table(25))


async def test_going_back_to_an_earlier_table_works(router: Router) -> None:
    for percent in (5, 25, 5):
        await router.apply(table(percent))
    await in_force(router, table(5))


async def test_applying_the_same_table_again_changes_nothing(router: Router) -> None:
    await router.apply(table(5))
    await in_force(router, table(5))
    await router.apply(table(5))
    assert await router.in_force(table(5))


async def test_an_empty_table_can_be_put_in_force(router: Router) -> None:
    await router.apply(table(5))
    await router.apply(RouteTable())
    await in_force(router, RouteTable())


async def test_ensuring_a_router_that_runs_leaves_its_table_alone(router: Router) -> None:
    await router.apply(table(5))
    await in_force(router, table(5))
    await router.ensure()
    assert await router.in_force(table(5))


async def test_the_last_table_outlives_a_stop(router: Router) -> None:
    await router.apply(table(5))
    await in_force(router, table(5))
    await router.stop()
    await router.start()
    await in_force(router, table(5))
