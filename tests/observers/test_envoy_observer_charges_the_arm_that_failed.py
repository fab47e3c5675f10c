"""The observer against a real front door with real servers behind it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import quote

import pytest
import pytest_asyncio

from modelserve._kit.ports import free_port
from modelserve._kit.waiting import wait_until
from modelserve.domain.rollouts import ArmCounts
from modelserve.domain.routes import Backend, Mirror, RoutePolicy, RouteTable, ServiceRoute, Weight
from modelserve.observers.base import Cursor, Sighting, Subject
from modelserve.observers.envoy import EnvoyObserver
from modelserve.routers.envoy import EnvoyRouter
from modelserve.routing.envoy.clusters import MAX_COPIES
from modelserve.routing.envoy.vocabulary import shadow

PATH = "/v2/models/ner/infer"
SUBJECT = Subject("ner", "ner-1", "ner-2", ())


@pytest.fixture(scope="session")
def lab(load_helper: Callable[[Path], ModuleType]) -> ModuleType:
    return load_helper(Path(__file__).parents[1] / "routers" / "lab.py")


@dataclass
class Scene:
    """A front door, both arms behind it, and an observer that has its anchor."""

    lab: ModuleType
    door: EnvoyRouter
    port: int
    stable: Any
    candidate: Any
    observer: EnvoyObserver
    cursor: Cursor

    async def route(self, percent: float, **more: Any) -> None:
        weights = (Weight("ner-1", 100 - percent), Weight("ner-2", percent, "candidate"))
        backends = (Backend("ner-1", (self.stable.endpoint,)), Backend("ner-2", (self.candidate.endpoint,)))
        await self.door.apply(RouteTable((ServiceRoute("ner", weights, backends, "ner-1", **more),)))

    async def load(self, requests: int, path: str = PATH, clients: int = 8) -> Any:
        async with self.lab.Load(self.port, path, clients=clients, requests=requests) as load:
            pass
        return load

    async def look(self, subject: Subject = SUBJECT) -> Sighting:
        sighting, self.cursor = await self.observer.read(subject, self.cursor)
        return sighting


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EnvoyRouter]:
    router = EnvoyRouter(tmp_path_factory.mktemp("door"), port=free_port())
    asyncio.run(router.start())
    yield router
    asyncio.run(router.stop())


@pytest.fixture(scope="module")
def upstreams(lab: ModuleType) -> Iterator[Any]:
    pool = lab.Upstreams()
    yield pool
    pool.end()


@pytest_asyncio.fixture
async def scene(lab: ModuleType, door: EnvoyRouter, upstreams: Any) -> AsyncIterator[Scene]:
    stable, candidate = upstreams.start("ner-1"), upstreams.start("ner-2")
    scene = Scene(lab, door, door.port, stable, candidate, EnvoyObserver(door.admin), {})
    await scene.route(50.0)
    await scene.look()
    yield scene
    upstreams.take_back()


async def test_answers_count_for_the_arm_that_gave_them(scene: Scene) -> None:
    load = await scene.load(200)
    seen = await scene.look()
    assert seen.stable == ArmCounts(load.revisions["ner-1"])
    assert seen.candidate == ArmCounts(load.revisions["ner-2"])
    assert seen.candidate_ready is True
    assert seen.notes == ()


async def test_nothing_new_is_zero_and_not_none(scene: Scene) -> None:
    await scene.load(20)
    await scene.look()
    seen = await scene.look()
    assert (seen.stable, seen.candidate) == (ArmCounts(), ArmCounts())


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_failure_counts_also_where_a_retry_saved_the_client(scene: Scene, status: int) -> None:
    await scene.candidate.tell(status=status)
    load = await scene.load(200)
    asked = (await scene.candidate.seen())["requests"]
    seen = await scene.look()
    assert seen.candidate == ArmCounts(asked, asked)
    assert seen.stable == ArmCounts(200 - asked)
    assert load.statuses[200] == (200 - asked if status == 500 else 200)


async def test_a_mistake_of_the_client_is_neither_request_nor_failure(scene: Scene) -> None:
    await scene.candidate.tell(status=422)
    load = await scene.load(100)
    seen = await scene.look()
    assert seen.candidate == ArmCounts()
    assert seen.stable == ArmCounts(load.revisions["ner-1"])


async def test_an_answer_from_the_cache_is_counted_apart(scene: Scene) -> None:
    await scene.candidate.tell(cache="hit")
    await scene.stable.tell(cache="miss")
    load = await scene.load(100)
    seen = await scene.look()
    assert seen.candidate == ArmCounts(0, cached=load.revisions["ner-2"])
    assert seen.stable == ArmCounts(load.revisions["ner-1"])
    await scene.candidate.tell(status=500)
    await scene.load(20)
    failed = (await scene.look()).candidate
    assert failed is not None
    assert failed.requests == failed.failures > 0


async def test_connections_that_break_off_are_failures(scene: Scene) -> None:
    await scene.candidate.tell(cut=True)
    load = await scene.load(100)
    asked = (await scene.candidate.seen())["requests"]
    seen = await scene.look()
    assert asked > 0
    assert seen.candidate == ArmCounts(asked, asked)
    assert load.statuses == {200: 100}


async def test_a_dead_candidate_is_charged_until_it_is_out_and_no_longer(scene: Scene) -> None:
    scene.candidate.end()
    load = await scene.load(400)
    seen = await scene.look()
    assert load.statuses == {200: 400}
    assert seen.candidate is not None
    assert 1 <= seen.candidate.failures == seen.candidate.requests <= 40
    assert seen.candidate_ready is False
    await scene.load(100)
    assert (await scene.look()).candidate == ArmCounts()


async def test_requests_that_ran_out_of_time_are_failures(scene: Scene) -> None:
    await scene.route(50.0, policy=RoutePolicy(timeout=0.3))
    await scene.look()
    await scene.candidate.tell(delay=5)
    load = await scene.load(40)
    await wait_until(lambda: _counted(scene, load.statuses[504]), 5, "every late request is counted")
    late = (await scene.look()).candidate
    assert late is not None
    assert late.requests == late.failures > 0


async def _counted(scene: Scene, late: int) -> bool:
    """By whichever arm: on a busy machine stable may be late, too."""
    seen, _ = await scene.observer.read(SUBJECT, scene.cursor)
    return late == sum(arm.failures for arm in (seen.stable, seen.candidate) if arm)


async def test_tries_that_ran_out_of_time_are_failures_too(scene: Scene) -> None:
    await scene.route(50.0, policy=RoutePolicy(timeout=20.0, per_try_timeout=1.0))
    await scene.look()
    scene.candidate.signal(signal.SIGSTOP)
    load = await scene.load(40)
    seen = await scene.look()
    assert load.statuses == {200: 40}
    assert seen.candidate is not None
    assert seen.candidate.failures == seen.candidate.requests > 0


async def test_clients_that_go_away_say_nothing_about_the_server(scene: Scene) -> None:
    for server in (scene.stable, scene.candidate):
        await server.tell(delay=5)

    async def give_up() -> None:
        connection = scene.lab.Connection(scene.port)
        with suppress(TimeoutError):
            await asyncio.wait_for(connection.request(PATH, "POST", body=b"{}"), 0.3)

    await asyncio.gather(*(give_up() for _ in range(10)))
    seen = await scene.look()
    assert (seen.stable, seen.candidate) == (ArmCounts(), ArmCounts())


async def test_requests_that_name_their_revision_are_no_evidence(scene: Scene) -> None:
    await scene.load(30, "/v2/models/ner/versions/ner-2/infer")
    seen = await scene.look()
    assert (seen.stable, seen.candidate) == (ArmCounts(), ArmCounts())


async def test_copies_count_for_the_candidate_while_it_shadows(scene: Scene) -> None:
    shadowing = replace(SUBJECT, shadowing=True)
    await scene.route(0.0, mirror=Mirror("ner-2", 100.0))
    await scene.look(shadowing)
    await scene.load(50)
    await wait_until(lambda: _copied(scene, 50), 5, "all copies are answered")
    seen = await scene.look(shadowing)
    assert (seen.stable, seen.candidate) == (ArmCounts(50), ArmCounts(50))
    await scene.candidate.tell(status=500)
    await scene.load(50)
    await wait_until(lambda: _copied(scene, 50), 5, "all copies are answered")
    assert (await scene.look(shadowing)).candidate == ArmCounts(50, 50)


async def _copied(scene: Scene, number: int) -> bool:
    sighting, _ = await scene.observer.read(replace(SUBJECT, shadowing=True), scene.cursor)
    return sighting.candidate is not None and sighting.candidate.requests == number


async def _no_copy_is_under_way(scene: Scene) -> bool:
    """Nor waits in the proxy for one of those to be answered."""
    pattern = f"^cluster\\.{shadow('ner-2')}\\.upstream_rq_(pending_)?active$"
    lines = (await scene.door.admin.get(f"/stats?filter={quote(pattern)}")).splitlines()
    assert len(lines) == 2
    return all(line.endswith(": 0") for line in lines)


async def test_late_copies_are_failures(scene: Scene) -> None:
    shadowing = replace(SUBJECT, shadowing=True)
    await scene.route(0.0, mirror=Mirror("ner-2", 100.0), policy=RoutePolicy(timeout=0.3))
    await scene.look(shadowing)
    await scene.candidate.tell(delay=5)
    await scene.load(5)
    await wait_until(lambda: _copied(scene, 5), 5, "all copies are given up")
    assert (await scene.look(shadowing)).candidate == ArmCounts(5, 5)


async def test_copies_that_the_proxy_drops_by_its_own_limits_are_not_the_candidates_failures(
    scene: Scene,
) -> None:
    shadowing = replace(SUBJECT, shadowing=True)
    await scene.route(0.0, mirror=Mirror("ner-2", 100.0))
    await scene.look(shadowing)
    await scene.stable.tell(delay=0.3)  # when it has answered, all copies have gone out
    await scene.candidate.tell(delay=3.0)  # none is answered before the last request has come
    load = await scene.load(3 * MAX_COPIES, clients=3 * MAX_COPIES)
    assert load.statuses == {200: 3 * MAX_COPIES}

    await wait_until(lambda: _no_copy_is_under_way(scene), 20, "all copies that went out are answered")
    arrived = (await scene.candidate.seen())["requests"]
    assert 0 < arrived <= 2 * MAX_COPIES + 2, "the rest was dropped; two workers may both take a last place"
    await wait_until(lambda: _copied(scene, arrived), 5, "each of them is counted")
    assert (await scene.look(shadowing)).candidate == ArmCounts(arrived)


async def test_counts_survive_changes_of_weight_and_of_replicas(scene: Scene) -> None:
    load = await scene.load(50)
    await scene.route(25.0)
    second = scene.lab.Upstream("ner-2")
    try:
        scene.candidate.end()
        scene.candidate = second
        await scene.route(25.0)
        more = await scene.load(50)
        seen = await scene.look()
        assert seen.stable == ArmCounts(load.revisions["ner-1"] + more.revisions["ner-1"])
        assert seen.candidate == ArmCounts(load.revisions["ner-2"] + more.revisions["ner-2"])
    finally:
        second.end()


async def test_a_restart_of_the_front_door_is_noted_and_counts_nothing_twice(scene: Scene) -> None:
    await scene.load(20)
    await scene.look()
    os.kill(scene.door.pid or 0, signal.SIGKILL)
    await wait_until(lambda: scene.door.pid is None, 5, "the front door is gone")
    down, cursor = await scene.observer.read(SUBJECT, scene.cursor)
    assert (down.stable, down.candidate, down.candidate_ready) == (None, None, None)
    assert "gave no counters" in down.notes[0]
    assert cursor == scene.cursor
    await scene.door.ensure()
    await scene.load(60)
    again = await scene.look()
    assert (again.stable, again.candidate) == (None, None)
    assert "restarted" in again.notes[0]
    load = await scene.load(40)
    assert (await scene.look()).stable == ArmCounts(load.revisions["ner-1"])


async def test_the_first_look_only_anchors(scene: Scene) -> None:
    await scene.load(20)
    sighting, cursor = await scene.observer.read(SUBJECT, {})
    assert (sighting.stable, sighting.candidate, sighting.notes) == (None, None, ())
    following, _ = await scene.observer.read(SUBJECT, cursor)
    assert (following.stable, following.candidate) == (ArmCounts(), ArmCounts())


async def test_another_candidate_starts_from_its_own_anchor(scene: Scene) -> None:
    await scene.load(20)
    seen = await scene.look(replace(SUBJECT, candidate="ner-3"))
    assert seen.stable is not None
    assert seen.candidate is None
    assert seen.candidate_ready is None


async def test_a_counter_that_fell_is_noted(scene: Scene) -> None:
    await scene.load(20)
    await scene.look()
    positions = {**scene.cursor["positions"], "ner-1.live": [10_000, 0, 0]}
    scene.cursor = {**scene.cursor, "positions": positions}
    seen = await scene.look()
    assert seen.stable is None
    assert seen.candidate == ArmCounts()
    assert seen.notes == ("the front door's counters of ner-1.live began anew",)
