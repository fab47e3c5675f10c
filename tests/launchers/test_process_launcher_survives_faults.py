import asyncio
import json
import os
import signal
import sys
import time

import psutil
import pytest

from modelserve._kit.quiet import SWITCHES
from modelserve._kit.waiting import wait_until
from modelserve.domain.workloads import ReplicaPhase
from modelserve.launchers import folder as folders
from modelserve.launchers.process import ProcessLauncher


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def is_zombie(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


async def test_a_killed_replica_is_seen_by_the_next_look_and_comes_back(process_launcher, package, reach):
    await process_launcher.apply([package.workload()])
    (before,) = await reach(process_launcher)

    os.kill(before.pid, signal.SIGKILL)
    await wait_until(lambda: is_gone(before.pid), 5, "the process died")
    (seen,) = await process_launcher.replicas()

    assert seen.phase is ReplicaPhase.CRASHED
    assert "SIGKILL" in seen.reason
    assert (seen.pid, seen.port, seen.epoch) == (0, 0, "")
    assert not is_zombie(before.pid)
    (after,) = await reach(process_launcher)
    assert after.restarts == 1
    assert after.epoch != before.epoch
    assert after.reason == ""


async def test_other_replicas_go_on_while_one_is_restarted(process_launcher, package, reach):
    await process_launcher.apply([package.workload(replicas=2)])
    first, second = await reach(process_launcher, count=2)

    os.kill(first.pid, signal.SIGKILL)
    await wait_until(lambda: is_gone(first.pid), 5, "the process died")
    await process_launcher.replicas()

    assert (await reach(process_launcher, count=2))[1] == second


async def test_a_server_that_never_gets_ready_stays_starting(process_launcher, package):
    package.behave(ready=False)
    await process_launcher.apply([package.workload()])

    async def listens() -> bool:
        (replica,) = await process_launcher.replicas()
        return bool(replica.port)

    await wait_until(listens, 20, "the server listens")
    for _ in range(5):
        (replica,) = await process_launcher.replicas()
        assert replica.phase is ReplicaPhase.STARTING


async def test_a_server_that_crashes_at_every_start_is_crash_looping_until_the_cause_is_gone(
    process_launcher, package, reach
):
    package.behave(crash=True)
    await process_launcher.apply([package.workload()])

    (replica,) = await reach(process_launcher, ReplicaPhase.CRASH_LOOPING)

    assert replica.restarts >= 4
    assert replica.reason == "exited with code 1: RuntimeError: no luck today"
    package.behave()
    await reach(process_launcher, ReplicaPhase.READY)


async def test_an_unfit_package_is_tried_once_and_its_fault_is_told(process_launcher, package, reach):
    package.behave(unfit=True)
    await process_launcher.apply([package.workload()])

    (replica,) = await reach(process_launcher, ReplicaPhase.CRASH_LOOPING)

    assert replica.reason == "the package can't be served: weights.onnx is no ONNX file"
    assert replica.restarts == 0
    package.behave()
    for _ in range(5):
        (replica,) = await process_launcher.replicas()
        assert (replica.phase, replica.pid) == (ReplicaPhase.CRASH_LOOPING, 0)


async def test_a_stopped_process_is_unresponsive_and_holds_up_nobody(process_launcher, package, reach):
    await process_launcher.apply([package.workload("ner-00001"), package.workload("ner-00002")])
    stuck, _ = await reach(process_launcher, count=2)
    os.kill(stuck.pid, signal.SIGSTOP)

    async def noticed() -> bool:
        first, second = await process_launcher.replicas()
        assert second.phase is ReplicaPhase.READY
        return first.phase is ReplicaPhase.UNRESPONSIVE

    await wait_until(noticed, 20, "the stopped replica is unresponsive")
    (replica, _) = await process_launcher.replicas()
    assert (replica.pid, replica.restarts) == (stuck.pid, 0)
    assert "does not answer" in replica.reason

    os.kill(stuck.pid, signal.SIGCONT)
    await reach(process_launcher, count=2)


async def test_stop_ends_stopped_processes_too(process_launcher, package, reach):
    await process_launcher.apply([package.workload()])
    (replica,) = await reach(process_launcher)
    os.kill(replica.pid, signal.SIGSTOP)

    await process_launcher.stop()

    assert is_gone(replica.pid)
    assert not is_zombie(replica.pid)
    assert (package.path / "finished").exists()


async def test_a_removed_replica_finishes_its_work_in_the_background(process_launcher, package, reach):
    package.behave(drain=1.0)
    await process_launcher.apply([package.workload()])
    (replica,) = await reach(process_launcher)

    before = time.monotonic()
    await process_launcher.apply([])

    assert await process_launcher.replicas() == ()
    assert psutil.pid_exists(replica.pid)
    assert time.monotonic() - before < 20
    await wait_until(lambda: not psutil.pid_exists(replica.pid), 20, "the server finished and was reaped")
    assert (package.path / "finished").exists()


async def test_a_server_that_does_not_finish_in_time_is_killed(process_launcher, package, reach, monkeypatch):
    monkeypatch.setattr("modelserve.launchers.process.GRACE", 0.2)
    package.behave(drain=600)
    await process_launcher.apply([package.workload(drain=0.1)])
    (replica,) = await reach(process_launcher)

    await process_launcher.stop()

    assert is_gone(replica.pid)
    assert not (package.path / "finished").exists()


@pytest.mark.parametrize("ending", ["stop", "crash"])
async def test_what_a_server_started_ends_with_it(process_launcher, package, reach, ending):
    package.behave(child=True)
    await process_launcher.apply([package.workload()])
    (replica,) = await reach(process_launcher)
    grandchild = int((package.path / "child.pid").read_text())
    assert not is_gone(grandchild)

    if ending == "stop":
        await process_launcher.stop()
    else:
        os.kill(replica.pid, signal.SIGKILL)
        await wait_until(lambda: is_gone(replica.pid), 5, "the process died")
        await process_launcher.replicas()

    await wait_until(lambda: is_gone(grandchild), 5, "the server's own child is gone")


async def test_a_command_that_is_not_there_is_a_crash_with_its_reason(tmp_path, package):
    launcher = ProcessLauncher(tmp_path / "servers", ["/no/such/program"])

    await launcher.apply([package.workload()])

    (replica,) = await launcher.replicas()
    assert replica.phase is ReplicaPhase.CRASHED
    assert "/no/such/program" in replica.reason
    await launcher.stop()


async def test_a_directory_that_can_not_be_written_is_a_crash_with_its_reason(tmp_path, package):
    (tmp_path / "servers").write_text("a file is in the way")
    launcher = ProcessLauncher(tmp_path / "servers", [sys.executable])

    await launcher.apply([package.workload()])

    (replica,) = await launcher.replicas()
    assert replica.phase is ReplicaPhase.CRASHED
    assert "can't be started" in replica.reason
    await launcher.stop()


async def test_settings_that_are_wrong_name_the_field_and_are_not_tried_again(process_launcher, package):
    await process_launcher.apply([package.workload(max_batch=0)])

    (replica,) = await process_launcher.replicas()

    assert replica.phase is ReplicaPhase.CRASH_LOOPING
    assert "max_batch" in replica.reason


async def test_a_server_is_told_its_settings_and_no_secret(
    process_launcher, package, reach, monkeypatch, tmp_path
):
    monkeypatch.setenv("MODELSERVE_RECORDS_URL", "postgresql://me:secret@host/db")
    await process_launcher.apply([package.workload(max_batch=4)])
    await reach(process_launcher)

    settings = json.loads((tmp_path / "servers/ner-00001/0/settings.json").read_text())
    assert (settings["service"], settings["revision"], settings["max_batch"]) == ("ner", "ner-00001", 4)
    assert (settings["host"], settings["port"]) == ("127.0.0.1", 0)
    environment = json.loads((package.path / "environment.json").read_text())
    assert "secret" not in str(environment)
    assert environment["PATH"] == os.environ["PATH"]


async def test_a_server_is_told_where_files_may_lie_and_to_keep_libraries_quiet(
    process_launcher, package, reach, monkeypatch, tmp_path
):
    operators = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "PYTHONPYCACHEPREFIX": str(tmp_path / "pyc")}
    for name, value in operators.items():
        monkeypatch.setenv(name, value)
    for name in SWITCHES:
        monkeypatch.setenv(name, "0")
    await process_launcher.apply([package.workload()])
    await reach(process_launcher)

    environment = json.loads((package.path / "environment.json").read_text())
    assert environment == environment | operators | dict(SWITCHES)


async def test_a_log_that_grew_large_is_put_aside_at_the_next_start(
    process_launcher, package, reach, tmp_path, monkeypatch
):
    monkeypatch.setattr(folders, "LOG_BYTES", 1000)
    place = tmp_path / "servers/ner-00001/0"
    place.mkdir(parents=True)
    (place / "server.log").write_text("x" * 1001)

    await process_launcher.apply([package.workload()])
    await reach(process_launcher)

    assert (place / "server.log").read_text() == "hello from ner-00001\n"
    assert (place / "server.log.1").read_text() == "x" * 1001


async def test_many_looks_at_once_do_not_start_a_replica_twice(process_launcher, package, reach):
    await process_launcher.apply([package.workload()])
    (replica,) = await reach(process_launcher)
    os.kill(replica.pid, signal.SIGKILL)
    await wait_until(lambda: is_gone(replica.pid), 5, "the process died")

    await asyncio.gather(*(process_launcher.replicas() for _ in range(20)))

    (after,) = await reach(process_launcher)
    assert after.restarts == 1
