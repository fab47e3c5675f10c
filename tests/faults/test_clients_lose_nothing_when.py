"""Clients lose nothing when a server, a replica or the controller dies; and almost nothing with the proxy.

Every test keeps clients asking, inflicts one fault, and counts what they lost.
"""

import json
import os
import signal
import sqlite3
import time
from pathlib import Path

import httpx
import psutil
import pytest

JUDGE = {"guardrails": [{"metric": "error_rate", "maxIncrease": "0.2%"}]}
"""Faults make answers slow, and not for both arms at the same time: what counts here is failures."""
STAY = {"canary": {"steps": ["50%", "100%"], "minStep": "1h"}, "shadow": None, "judge": JUDGE}
"""A rollout that stays at half of the traffic."""
GO = {
    "canary": {"steps": ["50%", "100%"], "minStep": "1s"},
    "shadow": None,
    "judge": JUDGE,
    "probation": "1h",
}
NAME = "digits"
OLD, NEW = "digits-00001", "digits-00002"


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    os.kill(pid, number)


@pytest.fixture
def half(platform, models):
    """A platform whose candidate answers half of the traffic, and goes on doing so."""
    platform.apply(NAME, models / "resnet-digits-1", rollout=STAY)
    platform.wait_for_ready(NAME, OLD)
    platform.apply(NAME, models / "resnet-digits-2", rollout=STAY)
    platform.wait_for_phase(NAME, "canary")
    platform.wait_for_ready(NAME, NEW)
    return platform


def wait_for_answers(load, revision: str, count: int = 50) -> None:
    deadline = time.monotonic() + 30
    start = load.losses.answered[revision]
    while load.losses.answered[revision] < start + count:
        assert time.monotonic() < deadline, f"{revision} does not answer: {load.losses}"
        time.sleep(0.02)


def test_the_candidates_server_is_killed(half):
    with half.load(NAME, clients=8) as load:
        wait_for_answers(load, NEW)
        (before,) = half.wait_for_ready(NAME, NEW)
        kill(before)
        half.wait_for("a restart or a rollback", lambda: restarted_or_rolled_back(half, before))
        wait_for_answers(load, OLD)
    assert load.losses.failed == []


def restarted_or_rolled_back(platform, before: int) -> bool:
    """What was in flight on a killed candidate failed there: that may be evidence enough, or not yet."""
    service = platform.service(NAME)
    ready = [r["pid"] for r in service["replicas"] if (r["revision"], r["phase"]) == (NEW, "ready")]
    return service["rollout"]["phase"] == "rolled back" or ready not in ([], [before])


def replicas(platform) -> list[str]:
    """Addresses of the service's model servers."""
    return [replica["address"] for replica in platform.service(NAME)["replicas"]]


def asked(address: str) -> int:
    """Calls that a model server has answered: the front door admits one a moment after it is ready."""
    figures = httpx.get(f"http://{address}/internal/figures", trust_env=False).json()
    return int(figures["arms"]["stable"]["requests"])


def test_one_of_two_stable_replicas_is_killed(platform, models):
    platform.apply(NAME, models / "resnet-digits-1", scaling={"min": 2})
    before = platform.wait_for_ready(NAME, OLD, replicas=2)
    with platform.load(NAME, clients=8) as load:
        platform.wait_for("both to be asked", lambda: all(asked(each) for each in replicas(platform)))
        kill(before[0])
        platform.wait_for("the restart", lambda: platform.wait_for_ready(NAME, OLD, replicas=2) != before)
        wait_for_answers(load, OLD)
    assert load.losses.failed == []


def test_the_controller_is_killed_in_the_middle_of_a_rollout(platform, models):
    platform.apply(NAME, models / "resnet-digits-1", rollout=GO)
    platform.wait_for_ready(NAME, OLD)
    with platform.load(NAME, clients=8) as load:
        wait_for_answers(load, OLD)
        platform.apply(NAME, models / "resnet-digits-2", rollout=GO)
        platform.wait_for_phase(NAME, "canary")
        servers = sorted(platform.wait_for_ready(NAME, OLD) + platform.wait_for_ready(NAME, NEW))
        envoy, evidence = platform.envoy_pid(), platform.rollout(NAME)["totals"]
        kill(platform.controller_pid())
        wait_for_answers(load, NEW, 200)
        platform.up()
        assert platform.envoy_pid() == envoy
        assert sorted(platform.wait_for_ready(NAME, OLD) + platform.wait_for_ready(NAME, NEW)) == servers
        ended = platform.wait_for_phase(NAME, "probation", "stable", timeout=90)
        assert ended["totals"]["candidate_requests"] >= evidence.get("candidate_requests", 0) + 200
    assert load.losses.failed == []


def test_the_proxy_is_killed_only_what_was_in_flight_is_lost(platform, models):
    platform.apply(NAME, models / "resnet-digits-1")
    platform.wait_for_ready(NAME, OLD)
    clients = 8
    with platform.load(NAME, clients) as load:
        wait_for_answers(load, OLD)
        before = platform.envoy_pid()
        kill(before)
        wait_for_answers(load, OLD, 200)
        assert platform.envoy_pid() != before
    # Each client may lose the request that was in flight, and one on a connection that the dying proxy's
    # socket still took; nobody gets a wrong or a half answer.
    assert len(load.losses.failed) <= 2 * clients
    broken = ("ConnectionReset", "RemoteDisconnected", "BrokenPipe", "ConnectionRefused")
    assert [failure for failure in load.losses.failed if not failure.startswith(broken)] == []
    assert load.losses.longest_gap < 1.0


def test_the_candidate_is_stopped_in_its_tracks(half):
    with half.load(NAME, clients=8) as load:
        wait_for_answers(load, NEW)
        (stopped,) = half.wait_for_ready(NAME, NEW)
        kill(stopped, signal.SIGSTOP)
        ended = half.wait_for_phase(NAME, "rolled back")
        wait_for_answers(load, OLD)
    assert load.losses.failed == []
    assert ended["candidate"] == NEW
    assert half.service(NAME)["stable"] == OLD


def test_a_candidate_never_gets_ready(platform, models):
    rules = STAY | {"loadingTimeout": "4s"}
    platform.apply(NAME, models / "resnet-digits-1")
    platform.wait_for_ready(NAME, OLD)
    with platform.load(NAME) as load:
        platform.apply(NAME, models / "resnet-digits-2", rollout=rules)
        loading = platform.wait_for(
            "the candidate's start",
            lambda: next((p for p in platform.processes() if NEW in " ".join(p.cmdline())), None),
        )
        loading.suspend()
        ended = platform.wait_for_phase(NAME, "rolled back")
        platform.wait_for("its end", lambda: not psutil.pid_exists(loading.pid))
    assert "was not ready within 4s" in ended["reason"]
    assert load.losses.failed == []


def test_an_artefact_is_damaged_on_the_disk(half):
    (revision,) = [r for r in half.cli("models") if r["revision"] == NEW]
    (weights,) = Path(revision["package"]).rglob("*.onnx")
    with half.load(NAME) as load:
        wait_for_answers(load, NEW)
        weights.chmod(0o600)
        os.truncate(weights, 1000)
        kill(half.wait_for_ready(NAME, NEW)[0])
        half.wait_for_phase(NAME, "rolled back")
        wait_for_answers(load, OLD)
    assert load.losses.failed == []


def test_the_records_are_locked_by_somebody_else(half):
    with half.load(NAME) as load:
        wait_for_answers(load, NEW)
        other = sqlite3.connect(half.home / "records.db", isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        half.wait_for("a word about it", lambda: "holds" in (half.service(NAME)["trouble"] or ""))
        wait_for_answers(load, NEW)
        refused = half.cli("rollout", "abort", NAME, code=1)
        assert half.rollout(NAME)["phase"] == "canary"
        other.execute("ROLLBACK")
        other.close()
        half.wait_for("its end", lambda: half.service(NAME)["trouble"] is None)
        half.cli("rollout", "abort", NAME)
        assert half.rollout(NAME)["phase"] == "rolled back"
    assert "locked" in refused
    assert load.losses.failed == []


def test_the_disk_is_full(half):
    controller = psutil.Process(half.controller_pid())
    servers = [psutil.Process(pid) for name in (OLD, NEW) for pid in half.wait_for_ready(NAME, name)]
    with half.load(NAME) as load:
        wait_for_answers(load, NEW)
        for process in (controller, *servers):  # no file may grow: what a write to a full disk comes to
            _, hard = process.rlimit(psutil.RLIMIT_FSIZE)
            process.rlimit(psutil.RLIMIT_FSIZE, (0, hard))
        half.wait_for("a word about it", lambda: "holds" in (half.service(NAME)["trouble"] or ""))
        wait_for_answers(load, NEW)
        assert half.rollout(NAME)["phase"] == "canary"
        for process in (controller, *servers):
            process.rlimit(psutil.RLIMIT_FSIZE, (hard, hard))
        half.wait_for("its end", lambda: half.service(NAME)["trouble"] is None)
        wait_for_answers(load, NEW)
    assert load.losses.failed == []


def test_a_second_change_comes_during_a_rollout(half, models, tmp_path):
    other = tmp_path / "third"
    other.mkdir()
    for file in (models / "resnet-digits-1").iterdir():
        (other / file.name).write_bytes(file.read_bytes())
    (other / "NOTE").write_text("other bytes, so another artefact")
    with half.load(NAME, clients=8) as load:
        wait_for_answers(load, NEW)
        half.apply(NAME, other, rollout=STAY)
        half.wait_for_ready(NAME, "digits-00003")
        wait_for_answers(load, "digits-00003")
    history = half.cli("rollout", "history", NAME)
    assert [(r["candidate"], r["phase"]) for r in history[1:]] == [
        (NEW, "superseded"),
        ("digits-00003", "canary"),
    ]
    assert load.losses.failed == []
    half.wait_for("the end of its servers", lambda: NEW not in json.dumps(half.service(NAME)["replicas"]))


def test_people_steer_a_rollout(half):
    with half.load(NAME, clients=8) as load:
        wait_for_answers(load, NEW)
        half.cli("rollout", "pause", NAME)
        assert half.rollout(NAME)["phase"] == "held"
        half.cli("rollout", "resume", NAME)
        half.cli("rollout", "promote", NAME)
        servers = half.wait_for_ready(NAME, OLD) + half.wait_for_ready(NAME, NEW)
        parked = load.losses.answered[OLD]
        wait_for_answers(load, NEW, 100)
        assert load.losses.answered[OLD] - parked <= 8  # in flight at the flip
        half.cli("rollback", NAME)
        wait_for_answers(load, OLD, 100)
        assert half.wait_for_ready(NAME, OLD) == servers[:1]  # one flip, no restart
    assert load.losses.failed == []
