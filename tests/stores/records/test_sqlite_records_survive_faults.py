import signal
import sqlite3
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from modelserve.domain.rollouts import Phase
from modelserve.errors import Unavailable
from modelserve.stores.records import open_records


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "records.db"


@pytest.fixture
def records(path):
    records = open_records(f"sqlite:///{path}")
    records.put_service("ner", {}, "ner-00001")
    yield records
    records.close()


def test_only_the_owner_may_read_its_files(records, path):
    files = [path, *path.parent.glob("records.db-*")]

    assert len(files) == 3
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_a_file_that_others_could_read_is_closed_to_them(path):
    path.touch(mode=0o644)

    open_records(f"sqlite:///{path}").close()

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_locked_store_is_unavailable_soon_and_works_again_after(records, path, samples):
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    began = time.monotonic()

    with pytest.raises(Unavailable, match="another process holds it locked"):
        records.save_rollout(samples.rollout(), samples.transition(), stable="ner-00002")

    assert time.monotonic() - began < 10
    assert records.service("ner") == ({}, "ner-00001")
    other.execute("COMMIT")
    other.close()
    records.save_rollout(samples.rollout(), samples.transition(), stable="ner-00002")
    assert records.service("ner") == ({}, "ner-00002")


def test_a_locked_store_can_be_opened_and_read(records, path):
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    second = open_records(f"sqlite:///{path}")

    assert second.service("ner") == ({}, "ner-00001")
    second.close()
    other.close()


FILLER = """
import resource, signal, sys
from modelserve.domain.rollouts import Phase, Rollout, Transition
from modelserve.errors import Unavailable
from modelserve.stores.records import open_records
records = open_records(sys.argv[1])
records.put_service("ner", {}, "0")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
saved = 0
try:
    while saved < 1000:
        id = str(saved + 1)
        rollout = Rollout(id, "ner", "a", "b", Phase.STABLE, 0.0, 0.0, evidence={"much": "x" * 20_000})
        transition = Transition(id, 0.0, Phase.PROBATION, Phase.STABLE, 1.0, "")
        records.save_rollout(rollout, transition, stable=id)
        saved += 1
except Unavailable as error:
    print(saved, error.message)
"""


def test_a_full_disk_is_unavailable_and_leaves_nothing_half_written(path):
    told = subprocess.run(
        [sys.executable, "-c", FILLER, f"sqlite:///{path}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout

    saved, _, message = told.partition(" ")
    assert "full" in message
    assert int(saved) > 0
    records = open_records(f"sqlite:///{path}")
    assert len(records.rollouts("ner")) == int(saved)
    assert records.service("ner") == ({}, saved)
    assert len(records.transitions(saved)) == 1
    records.put_service("ner", {"room": "again"}, None)
    records.close()


WRITER = """
import itertools, sys
from modelserve.domain.rollouts import Phase, Rollout, Transition
from modelserve.stores.records import open_records
records = open_records(sys.argv[1])
records.put_service("ner", {}, "0")
for number in itertools.count(1):
    rollout = Rollout(str(number), "ner", "a", "b", Phase.STABLE, number, 0.0)
    transition = Transition(str(number), 0.0, Phase.PROBATION, Phase.STABLE, 1.0, "")
    records.save_rollout(rollout, transition, stable=str(number))
    print(number, flush=True)
"""


def test_a_writer_that_is_killed_leaves_whole_transactions_and_a_store_that_works(path, samples):
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, f"sqlite:///{path}"], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    for _ in range(50):
        told = int(writer.stdout.readline())
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    writer.stdout.close()

    records = open_records(f"sqlite:///{path}")

    rollouts = records.rollouts("ner")
    assert len(rollouts) >= told
    assert records.service("ner") == ({}, rollouts[-1].id)
    assert all(len(records.transitions(rollout.id)) == 1 for rollout in rollouts)
    records.save_rollout(samples.rollout(phase=Phase.HELD))
    records.close()


@pytest.mark.parametrize("content", [b"not a database, but long enough to look at" * 50, b"\x00" * 4096])
def test_a_file_that_is_no_database_is_named(path, content):
    path.write_bytes(content)

    with pytest.raises(Unavailable, match=r"records\.db can't be opened: the file is not an SQLite database"):
        open_records(f"sqlite:///{path}")


def test_a_damaged_store_says_so(records, path):
    for number in range(200):
        records.put_service(f"s{number}", {"much": "x" * 1000}, None)
    records.close()
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))

    with pytest.raises(Unavailable, match="damaged"):
        open_records(f"sqlite:///{path}").services()


def test_a_folder_that_can_not_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(Unavailable, match=r"file/records\.db can't be opened: "):
        open_records(f"sqlite:///{tmp_path}/file/records.db")
