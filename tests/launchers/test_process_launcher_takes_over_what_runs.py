import json
import os
import signal
import subprocess
import sys

import psutil
import pytest

from modelserve._kit.waiting import wait_until
from modelserve.domain.workloads import ReplicaPhase


@pytest.fixture
async def running(new_launcher, package, reach):
    """A replica whose launcher has let go."""
    launcher = new_launcher()
    await launcher.apply([package.workload()])
    (replica,) = await reach(launcher)
    await launcher.detach()
    return replica


def same_process(one, other) -> bool:
    return (one.pid, one.port, one.epoch) == (other.pid, other.port, other.epoch)


async def test_a_new_launcher_keeps_the_process(running, new_launcher, package, reach):
    launcher = new_launcher()
    await launcher.apply([package.workload()])

    (replica,) = await reach(launcher)

    assert same_process(replica, running)
    assert replica.restarts == 0


async def test_a_new_launcher_sees_what_runs_before_it_is_told(running, new_launcher, reach):
    (replica,) = await reach(new_launcher())

    assert same_process(replica, running)


async def test_a_process_that_died_meanwhile_is_started_anew(running, new_launcher, package, reach):
    os.kill(running.pid, signal.SIGKILL)
    launcher = new_launcher()
    await launcher.apply([package.workload()])

    (replica,) = await reach(launcher)

    assert replica.pid != running.pid


async def test_an_adopted_process_that_dies_is_noticed_and_restarted(running, new_launcher, package, reach):
    launcher = new_launcher()
    await launcher.apply([package.workload()])
    await reach(launcher)

    os.kill(running.pid, signal.SIGKILL)
    (seen,) = await reach(launcher, ReplicaPhase.CRASHED)

    assert seen.pid == 0
    (after,) = await reach(launcher)
    assert after.restarts == 1
    assert not psutil.pid_exists(running.pid)


async def test_a_process_with_an_old_configuration_is_replaced(running, new_launcher, package, reach):
    launcher = new_launcher()
    await launcher.apply([package.workload(max_batch=2)])

    (replica,) = await reach(launcher)

    assert replica.pid != running.pid
    await wait_until(lambda: not psutil.pid_exists(running.pid), 20, "the old process is gone")


async def test_a_process_that_is_not_named_is_stopped(running, new_launcher):
    await new_launcher().apply([])

    await wait_until(lambda: not psutil.pid_exists(running.pid), 20, "the process is gone")


async def test_a_new_launcher_can_stop_what_an_earlier_one_started(running, new_launcher, tmp_path):
    await new_launcher().stop()

    assert not psutil.pid_exists(running.pid)
    left = {path.name for path in (tmp_path / "servers/ner-00001/0").iterdir()}
    assert left == {"server.log"}


@pytest.fixture
def stranger():
    process = subprocess.Popen([sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)"])
    yield process
    process.kill()
    process.wait()


async def test_a_number_that_means_another_process_by_now_is_not_touched(
    stranger, new_launcher, package, reach, tmp_path
):
    place = tmp_path / "servers/ner-00001/0"
    place.mkdir(parents=True)
    record = {"process": {"pid": stranger.pid, "started": 1.0}, "digest": "", "announce": "a", "starts": 1}
    (place / "process.json").write_text(json.dumps(record))
    launcher = new_launcher()

    await launcher.apply([package.workload()])
    (replica,) = await reach(launcher)
    await launcher.stop()

    assert replica.pid != stranger.pid
    assert stranger.poll() is None


@pytest.mark.parametrize("content", ["{", '{"process": 3}'])
async def test_a_process_whose_record_was_lost_is_found_by_its_command_line(
    running, new_launcher, package, reach, tmp_path, content
):
    (tmp_path / "servers/ner-00001/0/process.json").write_text(content)
    launcher = new_launcher()
    await launcher.apply([package.workload()])

    (replica,) = await reach(launcher)

    assert replica.pid != running.pid
    await wait_until(lambda: not psutil.pid_exists(running.pid), 20, "the lost process is gone")


async def test_a_process_that_was_told_to_stop_is_not_told_twice(new_launcher, package, reach):
    package.behave(drain=1.0)
    launcher = new_launcher()
    await launcher.apply([package.workload()])
    (replica,) = await reach(launcher)
    await launcher.apply([])
    await wait_until((package.path / "signals").exists, 20, "the server heard")
    await launcher.detach()

    await new_launcher().apply([])

    await wait_until((package.path / "finished").exists, 20, "the server finished")
    assert (package.path / "signals").read_text() == "SIGTERM\n"
    await wait_until(lambda: not psutil.pid_exists(replica.pid), 20, "the process is gone")
