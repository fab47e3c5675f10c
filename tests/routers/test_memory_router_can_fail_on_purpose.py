from __future__ import annotations

import pytest

from modelserve.domain.routes import Endpoint, RouteTable
from modelserve.errors import Unavailable
from modelserve.routers.memory import MemoryRouter

ONE, TWO = RouteTable(), RouteTable(control=Endpoint("127.0.0.1", 1))


async def test_a_router_that_is_down_says_so_and_keeps_its_table() -> None:
    router = MemoryRouter()
    await router.apply(ONE)
    router.down = True
    for ask in (router.ensure(), router.apply(TWO), router.in_force(ONE)):
        with pytest.raises(Unavailable):
            await ask
    router.down = False
    assert await router.in_force(ONE)


async def test_a_held_table_comes_in_force_when_it_is_released() -> None:
    router = MemoryRouter()
    await router.apply(ONE)
    router.held = True
    await router.apply(TWO)
    assert router.table == ONE
    router.release()
    assert await router.in_force(TWO)
    assert router.applied == [ONE, TWO]
