import os
import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from modelserve._kit.processes import identify, signal_group


@pytest.fixture
def process():
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)"], start_new_session=True
    )
    yield process
    process.kill()
    process.wait()


def test_the_same_number_with_another_start_is_another_process(process):
    identity = identify(process.pid)

    assert identity is not None
    assert identity.is_alive()
    assert not replace(identity, started=identity.started - 60).is_alive()


def test_a_stopped_process_is_alive_and_a_dead_one_is_not_even_as_a_zombie(process):
    identity = identify(process.pid)
    assert identity is not None
    os.kill(process.pid, signal.SIGSTOP)
    assert identity.is_alive()

    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)

    assert not identity.is_alive()
    assert identify(process.pid) is None
    process.wait()
    assert not identity.is_alive()


def test_signalling_a_group_reaches_it_and_one_that_is_gone_is_no_error(process):
    signal_group(process.pid, signal.SIGKILL)
    assert process.wait(timeout=10) == -signal.SIGKILL

    signal_group(process.pid, signal.SIGKILL)


@pytest.mark.parametrize("pid", [-1, 2**31 - 1])
def test_numbers_that_no_process_can_have_are_nobody(pid):
    assert identify(pid) is None
