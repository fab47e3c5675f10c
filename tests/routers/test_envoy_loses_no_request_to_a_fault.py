"""Faults under load. What is promised is counted, not timed."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from types import ModuleType
from typing import Any

from modelserve._kit.waiting import wait_until
from modelserve.domain.routes import Mirror, RoutePolicy, RouteTable
from modelserve.routers.envoy import EnvoyRouter

Table = Callable[..., RouteTable]
Start = Callable[..., Any]
PATH = "/v2/models/ner/infer"


async def passed(load: Any, more: int) -> None:
    goal = load.done + more
    await wait_until(lambda: load.done >= goal, 60, f"{goal} requests are answered")


async def test_killing_the_candidate_at_half_weight_loses_nothing(
    door: EnvoyRouter, port: int, lab: ModuleType, upstream: Start, two_arms: Table
) -> None:
    stable, candidate = upstream("ner-1"), upstream("ner-2")
    await door.apply(two_arms([stable], [candidate]))
    async with lab.Load(port, PATH, clients=32) as load:
        await passed(load, 500)
        candidate.signal(signal.SIGKILL)
        await passed(load, 1000)
    assert load.revisions["ner-2"] > 100
    assert load.lost == 0, (load.statuses, load.broken)


async def test_a_candidate_that_comes_back_is_sent_requests_again(
    door: EnvoyRouter, port: int, lab: ModuleType, upstream: Start, two_arms: Table
) -> None:
    stable, candidate = upstream("ner-1"), upstream("ner-2")
    await door.apply(two_arms([stable], [candidate]))
    candidate.end()
    async with lab.Load(port, PATH, clients=8) as load:
        await passed(load, 200)
        upstream("ner-2", candidate.port)
        await wait_until(lambda: load.revisions["ner-2"] > 0, 20, "the candidate answers")
    assert load.lost == 0


async def test_killing_one_of_two_stable_replicas_loses_nothing(
    door: EnvoyRouter, port: int, lab: ModuleType, upstream: Start, two_arms: Table
) -> None:
    one, other = upstream("ner-1"), upstream("ner-1")
    await door.apply(two_arms([one, other], [], 0.0))
    async with lab.Load(port, PATH, clients=32) as load:
        await passed(load, 500)
        one.signal(signal.SIGKILL)
        await passed(load, 1000)
    assert load.lost == 0, (load.statuses, load.broken)


async def test_one_dead_replica_of_a_candidate_sends_nothing_to_the_fallback(
    door: EnvoyRouter, port: int, lab: ModuleType, upstream: Start, two_arms: Table
) -> None:
    dead, alive = upstream("ner-2"), upstream("ner-2")
    dead.end()
    await door.apply(two_arms([upstream("ner-1")], [dead, alive], 100.0))
    async with lab.Load(port, PATH, requests=400) as load:
        pass
    assert load.revisions == {"ner-2": 400}


async def test_forty_changes_of_weight_lose_nothing(
    door: EnvoyRouter, port: int, lab: ModuleType, upstream: Start, two_arms: Table
) -> None:
    stable, candidate = upstream("ner-1"), upstream("ner-2")
    async with lab.Load(port, PATH, clients=0) as nothing:
        assert nothing.done == 0
    await door.apply(two_arms([stable], [candidate], 1.0))
    async with lab.Load(port, PATH) as load:
        for step in range(40):
            table = two_arms([stable], [candidate], (5.0, 25.0, 50.0, 100.0)[step % 4])
            await door.apply(table)
            assert await door.in_force(table)
            await passed(load, 20)
    assert load.lost == 0, (load.statuses, load.broken)


async def test_replicas_and_revisions_that_come_and_go_lose_nothing(
    door: EnvoyRouter, port: int, lab: ModuleType, upstream: Start, two_arms: Table
) -> None:
    first, second, third, candidate = (upstream(name) for name in ("ner-1", "ner-1", "ner-1", "ner-2"))
    tables = [
        two_arms([first], [], 0.0),
        two_arms([first, second], [candidate], 50.0),
        two_arms([third], [candidate], 25.0),
        two_arms([third, first], [], 0.0),
    ]
    await door.apply(tables[0])
    async with lab.Load(port, PATH) as load:
        for table in tables * 2:
            await door.apply(table)
            await passed(load, 50)
    assert load.lost == 0, (load.statuses, load.broken)


async def test_a_big_body_survives_the_death_of_the_candidate(
    door: EnvoyRouter, port: int, lab: ModuleType, upstream: Start, two_arms: Table
) -> None:
    candidate = upstream("ner-2")
    await door.apply(two_arms([upstream("ner-1")], [candidate], 100.0))
    await candidate.tell(cut=True)
    answer = await lab.fetch(port, PATH, "POST", body=b"x" * (8 * 1024 * 1024))
    assert (answer.status, answer.revision) == (200, "ner-1")


async def test_a_frozen_candidate_loses_nothing_where_tries_are_bounded(
    door: EnvoyRouter, port: int, lab: ModuleType, upstream: Start, two_arms: Table
) -> None:
    candidate = upstream("ner-2")
    policy = RoutePolicy(timeout=20.0, per_try_timeout=0.5)
    await door.apply(two_arms([upstream("ner-1")], [candidate], policy=policy))
    async with lab.Load(port, PATH) as load:
        await passed(load, 200)
        candidate.signal(signal.SIGSTOP)
        await passed(load, 500)
    assert load.lost == 0, (load.statuses, load.broken)


async def test_a_frozen_candidate_costs_only_what_it_was_answering(
    door: EnvoyRouter, port: int, lab: ModuleType, upstream: Start, two_arms: Table
) -> None:
    candidate = upstream("ner-2")
    await door.apply(two_arms([upstream("ner-1")], [candidate], policy=RoutePolicy(timeout=3.0)))
    async with lab.Load(port, PATH, clients=8) as load:
        await passed(load, 100)
        candidate.signal(signal.SIGSTOP)
        await wait_until(lambda: load.statuses[504] > 0, 20, "the first request is given up")
        await passed(load, 500)
    assert load.statuses[504] <= 8
    assert load.lost == load.statuses[504]


async def test_a_slow_dead_or_failing_shadow_harms_nobody(
    door: EnvoyRouter, port: int, lab: ModuleType, upstream: Start, two_arms: Table
) -> None:
    stable, shadow = upstream("ner-1"), upstream("ner-2")
    await door.apply(two_arms([stable], [shadow], 0.0, mirror=Mirror("ner-2", 100.0)))
    for harm in (
        shadow.tell(status=500),
        shadow.tell(status=200, delay=30),
        _do(lambda: shadow.signal(signal.SIGSTOP)),
        _do(lambda: shadow.signal(signal.SIGKILL)),
    ):
        await harm
        async with lab.Load(port, PATH, requests=200) as load:
            pass
        assert load.revisions == {"ner-1": 200}
        assert load.lost == 0
    assert (await stable.seen())["requests"] == 800


async def test_a_slow_shadow_never_piles_up(
    door: EnvoyRouter, port: int, lab: ModuleType, upstream: Start, two_arms: Table
) -> None:
    shadow = upstream("ner-2")
    await shadow.tell(delay=60)
    await door.apply(two_arms([upstream("ner-1")], [shadow], 0.0, mirror=Mirror("ner-2", 100.0)))
    async with lab.Load(port, PATH, requests=500) as load:
        pass
    assert load.lost == 0
    assert (
        0 < (await shadow.seen())["requests"] <= 40
    )  # the limit is 32, and threads of Envoy may overshoot it


async def test_no_healthy_server_is_an_error_in_the_usual_shape(
    door: EnvoyRouter, port: int, lab: ModuleType, upstream: Start, two_arms: Table
) -> None:
    stable = upstream("ner-1")
    await door.apply(two_arms([stable], [], 0.0))
    stable.end()
    answer = await lab.fetch(port, PATH, "POST")
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    said = answer.json()
    assert (said["code"], said["retryable"]) == ("unavailable", True)
    assert answer.headers["x-request-id"]


async def test_a_late_answer_is_an_error_in_the_usual_shape(
    door: EnvoyRouter, port: int, lab: ModuleType, upstream: Start, two_arms: Table
) -> None:
    stable = upstream("ner-1")
    await stable.tell(delay=60)
    await door.apply(two_arms([stable], [], 0.0, policy=RoutePolicy(timeout=0.2)))
    answer = await lab.fetch(port, PATH, "POST")
    assert (answer.status, answer.json()["code"]) == (504, "deadline_exceeded")


async def test_a_single_server_that_refuses_is_not_asked_again(
    door: EnvoyRouter, port: int, lab: ModuleType, upstream: Start, two_arms: Table
) -> None:
    stable = upstream("ner-1")
    await stable.tell(status=503)
    await door.apply(two_arms([stable], [], 0.0))
    assert (await lab.fetch(port, PATH, "POST")).status == 503
    assert (await stable.seen())["requests"] == 1


async def test_the_number_of_tries_is_bounded(
    door: EnvoyRouter, port: int, lab: ModuleType, upstream: Start, two_arms: Table
) -> None:
    stable, candidate = upstream("ner-1"), upstream("ner-2")
    for server in (stable, candidate):
        await server.tell(status=503)
    await door.apply(two_arms([stable], [candidate], 100.0, policy=RoutePolicy(retries=2)))
    assert (await lab.fetch(port, PATH, "POST")).status == 503
    assert (await stable.seen())["requests"] + (await candidate.seen())["requests"] == 3
    assert (await stable.seen())["requests"] >= 1


async def test_requests_in_flight_survive_their_cluster(
    door: EnvoyRouter, port: int, lab: ModuleType, upstream: Start, two_arms: Table
) -> None:
    stable, candidate = upstream("ner-1"), upstream("ner-2")
    await candidate.tell(delay=1.0)
    await door.apply(two_arms([stable], [candidate], 100.0))
    async with lab.Load(port, PATH, clients=8, requests=8) as load:
        await wait_until(lambda: _arrived(candidate, 8), 10, "all requests wait for the candidate")
        await door.apply(two_arms([stable], [], 0.0))
        os.kill(candidate.process.pid, signal.SIGKILL)
    assert load.revisions == {"ner-1": 8}, (load.statuses, json.dumps(load.broken))


async def _arrived(server: Any, number: int) -> bool:
    return bool((await server.seen())["requests"] >= number)


async def _do(act: Callable[[], None]) -> None:
    act()
