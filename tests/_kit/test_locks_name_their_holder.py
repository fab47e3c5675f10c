import os
import subprocess
import sys
import threading
import time

import pytest

from modelserve._kit.locks import Lock, LockHeld

HOLDER = """
import sys, time
from pathlib import Path
from modelserve._kit.locks import Lock
with Lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "lock")], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_the_second_is_told_who_holds_it_and_since_when(holder, tmp_path):
    with pytest.raises(LockHeld) as caught:
        Lock(tmp_path / "lock").acquire()

    assert caught.value.pid == holder.pid
    assert 0 <= time.time() - caught.value.since < 600
    assert str(holder.pid) in str(caught.value)


def test_a_holder_that_was_killed_holds_nothing(holder, tmp_path):
    holder.kill()
    holder.wait()

    with Lock(tmp_path / "lock") as lock:
        assert lock.path.exists()


def test_a_released_lock_can_be_taken_and_released_again(tmp_path):
    first, second = Lock(tmp_path / "lock"), Lock(tmp_path / "lock")
    first.acquire()
    assert first.acquire() is first
    with pytest.raises(LockHeld):
        second.acquire()

    first.release()
    first.release()

    second.acquire()
    second.release()


def test_a_holder_that_has_not_told_its_name_is_unknown(tmp_path):
    with Lock(tmp_path / "lock"):
        (tmp_path / "lock").write_text("")

        with pytest.raises(LockHeld, match="unknown") as caught:
            Lock(tmp_path / "lock").acquire()

    assert (caught.value.pid, caught.value.since) == (None, None)


def test_a_holder_that_tells_its_name_a_moment_later_is_known(tmp_path):
    """As where two begin at once: one has the lock, and has not written yet."""
    with Lock(tmp_path / "lock"):
        told = (tmp_path / "lock").read_text()
        (tmp_path / "lock").write_text("")
        later = threading.Timer(0.05, (tmp_path / "lock").write_text, [told])
        later.start()

        with pytest.raises(LockHeld) as caught:
            Lock(tmp_path / "lock").acquire()
        later.join()

    assert caught.value.pid == os.getpid()


def test_a_child_does_not_keep_the_lock(tmp_path):
    lock = Lock(tmp_path / "lock").acquire()
    child = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)"], close_fds=False
    )
    try:
        lock.release()

        with Lock(tmp_path / "lock"):
            assert child.poll() is None
    finally:
        child.kill()
        child.wait()
