from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import stat
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil
import pytest
import pytest_asyncio

from modelserve._kit.ports import free_port
from modelserve._kit.waiting import wait_until
from modelserve.domain.routes import Backend, Endpoint, RouteTable, ServiceRoute, Weight
from modelserve.errors import InvalidInput, Unavailable
from modelserve.routers.envoy import EnvoyRouter

Table = Callable[..., RouteTable]


@pytest_asyncio.fixture
async def later(own_door: EnvoyRouter, another_port: int) -> AsyncIterator[EnvoyRouter]:
    """The router of a controller that was started after the first one had died."""
    router = EnvoyRouter(own_door.folder, port=another_port)
    yield router
    await router.stop()


async def gone(pid: int | None) -> None:
    def is_gone() -> bool:
        return not psutil.pid_exists(pid or 0) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE

    await wait_until(is_gone, 5, f"process {pid} has ended")


async def test_a_killed_envoy_is_back_with_the_same_table_before_apply(
    own_door: EnvoyRouter, another_port: int, lab: ModuleType, upstream: Callable[..., Any], two_arms: Table
) -> None:
    table = two_arms([upstream("ner-1")], [upstream("ner-2")])
    await own_door.apply(table)
    killed = own_door.pid
    os.kill(killed or 0, signal.SIGKILL)
    await gone(killed)
    await own_door.ensure()
    assert own_door.pid not in (None, killed)
    assert await own_door.in_force(table)
    assert (await lab.fetch(another_port, "/predict/ner", "POST")).status == 200


async def test_a_later_controller_takes_over_the_running_envoy(
    own_door: EnvoyRouter, later: EnvoyRouter
) -> None:
    await later.start()
    assert later.pid == own_door.pid
    assert await later.in_force(RouteTable())


async def test_an_envoy_whose_record_was_never_written_is_found_again(
    own_door: EnvoyRouter, later: EnvoyRouter
) -> None:
    running = own_door.pid
    (own_door.folder / "process.json").unlink()
    await later.start()
    assert later.pid == running


async def test_a_record_that_names_somebody_elses_process_is_not_believed(
    own_door: EnvoyRouter, later: EnvoyRouter
) -> None:
    await own_door.stop()
    (own_door.folder / "process.json").write_text(json.dumps({"pid": os.getpid(), "started": 1.0}))
    assert later.pid is None
    await later.ensure()
    assert later.pid not in (None, os.getpid())


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 1}'])
async def test_a_record_that_is_broken_counts_as_none(
    own_door: EnvoyRouter, later: EnvoyRouter, content: str
) -> None:
    (own_door.folder / "process.json").write_text(content)
    assert later.pid is None
    await later.start()
    assert later.pid is not None


async def test_another_port_replaces_the_running_envoy(own_door: EnvoyRouter) -> None:
    old = own_door.pid
    moved = EnvoyRouter(own_door.folder, port=free_port())
    try:
        await moved.start()
        assert moved.pid not in (None, old)
        await gone(old)
    finally:
        await moved.stop()


async def test_a_frozen_envoy_is_replaced_once_patience_is_over(tmp_path: Path, another_port: int) -> None:
    router = EnvoyRouter(tmp_path, port=another_port, patience=0.0)
    await router.start()
    frozen = router.pid
    os.kill(frozen or 0, signal.SIGSTOP)
    router.admin.timeout = 0.2
    try:
        await router.ensure()
        assert router.pid not in (None, frozen)
    finally:
        await router.stop()


async def test_a_short_silence_is_forgiven(tmp_path: Path, another_port: int) -> None:
    router = EnvoyRouter(tmp_path, port=another_port, patience=60.0)
    await router.start()
    pid = router.pid
    router.admin.timeout = 0.2
    os.kill(pid or 0, signal.SIGSTOP)
    try:
        await router.ensure()
        assert router.pid == pid
    finally:
        os.kill(pid or 0, signal.SIGCONT)
        await router.stop()


async def test_a_taken_port_is_refused_with_the_name_of_who_has_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        router = EnvoyRouter(tmp_path, port=port)
        with pytest.raises(Unavailable, match=rf"port {port} of 127.0.0.1 is taken by .*{os.getpid()}"):
            await router.start()
        assert router.pid is None


async def test_two_front_doors_never_share_a_port(
    own_door: EnvoyRouter, another_port: int, tmp_path: Path
) -> None:
    second = EnvoyRouter(tmp_path / "second", port=another_port)
    with pytest.raises(Unavailable, match=f"taken by envoy .process {own_door.pid}"):
        await second.start()


async def test_a_host_that_is_no_address_is_refused(tmp_path: Path, another_port: int) -> None:
    with pytest.raises(InvalidInput, match=r"host must be an IP address.*'localhost'"):
        await EnvoyRouter(tmp_path, host="localhost", port=another_port).start()


async def test_stopping_ends_the_process_and_may_be_repeated(
    own_door: EnvoyRouter, another_port: int
) -> None:
    pid = own_door.pid
    await own_door.stop()
    await gone(pid)
    await own_door.stop()
    with socket.create_server(("127.0.0.1", another_port)):
        assert own_door.pid is None


async def test_a_table_applied_while_envoy_is_down_waits_for_it(
    own_door: EnvoyRouter, upstream: Callable[..., Any], two_arms: Table
) -> None:
    table = two_arms([upstream("ner-1")], [])
    await own_door.stop()
    await own_door.apply(table)
    with pytest.raises(Unavailable, match="can't be asked"):
        await own_door.in_force(table)
    await own_door.ensure()
    assert await own_door.in_force(table)


async def test_only_the_owner_may_open_the_administration_socket(own_door: EnvoyRouter) -> None:
    assert stat.S_IMODE(own_door.admin.path.stat().st_mode) == 0o600
    assert own_door.admin.path.parent == own_door.folder


async def test_a_folder_with_a_long_path_works_too(tmp_path: Path, another_port: int) -> None:
    router = EnvoyRouter(tmp_path / ("long" * 25), port=another_port)
    try:
        await router.start()
        assert await router.in_force(RouteTable())
    finally:
        await router.stop()


async def test_what_envoy_refuses_is_reported_in_its_words_and_taken_back(
    own_door: EnvoyRouter, two_arms: Table
) -> None:
    good = two_arms([], [], 5.0)
    nowhere = Backend("ner-1", (Endpoint("not-an-address", 1),))
    bad = RouteTable((ServiceRoute("ner", (Weight("ner-1", 100.0),), (nowhere,), "ner-1"),))
    await own_door.apply(good)
    with pytest.raises(Unavailable, match=r"refused clusters.json: .*not-an-address"):
        await own_door.apply(bad)
    await wait_until(lambda: _still(own_door, good), 5, "the earlier table is whole again")


async def _still(own_door: EnvoyRouter, table: RouteTable) -> bool:
    with contextlib.suppress(Unavailable):  # until Envoy has read the earlier file again
        return await own_door.in_force(table)
    return False


async def test_clusters_go_only_after_their_last_request_had_time(
    tmp_path: Path, another_port: int, upstream: Callable[..., Any], two_arms: Table
) -> None:
    router = EnvoyRouter(tmp_path, port=another_port, linger=60.0)
    hasty = EnvoyRouter(tmp_path, port=another_port, linger=0.0)
    await router.start()
    try:
        await router.apply(two_arms([upstream("ner-1")], []))
        await router.apply(RouteTable())
        await router.ensure()
        assert "ner-2.guarded::" in await router.admin.get("/clusters")
        assert await router.in_force(RouteTable())
        await hasty.start()
        await hasty.apply(RouteTable())
        await hasty.ensure()
        assert "ner-2.guarded::" not in await hasty.admin.get("/clusters")
        assert await hasty.in_force(RouteTable())
    finally:
        await router.stop()


async def test_clusters_go_although_the_same_table_is_handed_over_at_every_tick(
    tmp_path: Path, another_port: int, upstream: Callable[..., Any], two_arms: Table
) -> None:
    router = EnvoyRouter(tmp_path, port=another_port, linger=0.5)
    await router.start()
    try:
        await router.apply(two_arms([upstream("ner-1")], []))

        async def gone() -> bool:
            await router.apply(RouteTable())
            await router.ensure()
            return "ner-2.guarded::" not in await router.admin.get("/clusters")

        await wait_until(gone, 10, "the old clusters are gone", interval=0.1)
    finally:
        await router.stop()


async def test_an_access_log_that_grew_long_is_set_aside(
    tmp_path: Path, another_port: int, lab: ModuleType
) -> None:
    router = EnvoyRouter(tmp_path, port=another_port, log_limit=100)
    await router.start()
    try:
        await lab.fetch(another_port, "/predict/nobody")
        await wait_until(lambda: router.access_log.stat().st_size > 100, 10, "a line is on the disk")
        await router.ensure()
        assert (tmp_path / "access.log.1").read_text().count("\n") == 1
        await wait_until(router.access_log.exists, 5, "the log is open again")
    finally:
        await router.stop()


async def test_a_log_that_was_set_aside_by_a_controller_that_died_is_opened_again(
    own_door: EnvoyRouter, another_port: int, lab: ModuleType
) -> None:
    own_door.access_log.rename(own_door.folder / "access.log.1")

    async def opened() -> bool:
        await lab.fetch(another_port, "/predict/nobody")
        return own_door.access_log.exists()

    await own_door.ensure()
    await wait_until(opened, 20, "the log is open again")


async def test_what_envoy_itself_says_is_set_aside_too(tmp_path: Path, another_port: int) -> None:
    router = EnvoyRouter(tmp_path, port=another_port, log_limit=100)
    await router.start()
    try:
        with (tmp_path / "envoy.log").open("a") as log:
            log.write("word " * 100)
        await router.ensure()
        assert (tmp_path / "envoy.log.1").read_text().endswith("word " * 100)
        assert "word" not in (tmp_path / "envoy.log").read_text()
    finally:
        await router.stop()
