"""A shadow touches no client: a worse version is stopped before one sees its answers, and a frozen, dead or
slow one costs nobody a request."""

from __future__ import annotations

import itertools
import json
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

SHADOW = {"share": "100%", "minPairs": 1_000_000, "maxDisagreement": "100%"}
"""A rollout that stays in the shadow stage."""
STAY = {"shadow": SHADOW, "judge": {"guardrails": [{"metric": "error_rate", "maxIncrease": "0.2%"}]}}
STRICT = {"shadow": {"share": "100%", "minPairs": 300, "maxDisagreement": "5%"}}
HANGING = 5.0
"""Seconds without any answer that would mean that somebody waits for the shadow: it may take 10 for each."""


@pytest.fixture
def shadowed(platform: Any, models: Path) -> Any:
    """A platform whose candidate gets a copy of every request, and goes on getting them."""
    platform.apply("digits", models / "resnet-digits-1", rollout=STAY)
    platform.wait_for_ready("digits", "digits-00001")
    platform.apply("digits", models / "resnet-digits-2", rollout=STAY)
    platform.wait_for_phase("digits", "shadow")
    return platform


def compared(platform: Any, more: int = 100) -> None:
    """Wait for pairs."""
    start = platform.rollout("digits")["totals"].get("pairs", 0)
    platform.wait_for("pairs", lambda: platform.rollout("digits")["totals"].get("pairs", 0) >= start + more)


def answered(platform: Any, load: Any, more: int = 200) -> None:
    start = load.losses.total
    platform.wait_for("answers", lambda: load.losses.total >= start + more)


def test_a_frozen_shadow(shadowed: Any) -> None:
    with shadowed.load("digits", clients=8) as load:
        compared(shadowed)
        (candidate,) = shadowed.wait_for_ready("digits", "digits-00002")
        os.kill(candidate, signal.SIGSTOP)
        answered(shadowed, load)
        ended = shadowed.wait_for_phase("digits", "rolled back")
        answered(shadowed, load)
    assert_untouched(load, ended)


def test_a_shadow_that_is_killed(shadowed: Any) -> None:
    with shadowed.load("digits", clients=8) as load:
        compared(shadowed)
        (candidate,) = shadowed.wait_for_ready("digits", "digits-00002")
        os.kill(candidate, signal.SIGKILL)
        answered(shadowed, load)
    assert_untouched(load, shadowed.rollout("digits"))


def test_a_shadow_that_is_slow_under_load(shadowed: Any) -> None:
    with shadowed.load("digits", clients=8) as load:
        compared(shadowed)
        (candidate,) = shadowed.wait_for_ready("digits", "digits-00002")
        with slowed(candidate):
            answered(shadowed, load, 400)
            totals = shadowed.wait_for("late or missing halves", lambda: late_or_missing(shadowed))
    assert_untouched(load, shadowed.rollout("digits"))
    assert totals["pairs"] <= totals["sampled"]


def test_a_stable_revision_that_is_asked_twice(platform: Any, models: Path) -> None:
    rules = STAY | {"shadow": SHADOW | {"noiseFloor": True, "keepInputs": False}}
    platform.apply("digits", models / "resnet-digits-1", rollout=rules)
    platform.wait_for_ready("digits", "digits-00001")
    platform.apply("digits", models / "resnet-digits-2", rollout=rules)
    platform.wait_for_phase("digits", "shadow")
    with platform.load("digits", clients=2) as load:
        platform.wait_for("repeats", lambda: platform.rollout("digits")["totals"].get("repeats", 0) >= 50)
    assert_untouched(load, platform.rollout("digits"))
    assert platform.rollout("digits")["totals"]["noise"] == 0
    assert platform.cli("shadow", "diff", "digits")["inputs"] is False


def late_or_missing(platform: Any) -> dict[str, int] | None:
    totals: dict[str, int] = platform.rollout("digits")["totals"]
    return totals if totals["late"] or totals["sampled"] > totals["pairs"] + totals["unmatched"] else None


def assert_untouched(load: Any, rollout: dict[str, Any]) -> None:
    assert load.losses.failed == []
    assert set(load.losses.answered) == {"digits-00001"}
    assert load.losses.longest_gap < HANGING
    assert rollout["totals"].get("candidate_requests", 0) == 0


@contextmanager
def slowed(pid: int) -> Iterator[None]:
    """The process runs for a quarter of the time only."""
    done = threading.Event()

    def brake() -> None:
        while not done.is_set():
            os.kill(pid, signal.SIGSTOP)
            done.wait(0.3)
            os.kill(pid, signal.SIGCONT)
            done.wait(0.1)

    braking = threading.Thread(target=brake)
    braking.start()
    try:
        yield
    finally:
        done.set()
        braking.join()


class Readers:
    """Clients that ask for the entities of many texts, one after the other."""

    def __init__(self, door: str, texts: list[str]) -> None:
        self._url, self._texts = f"{door}/predict/bert-ner", itertools.cycle(texts)
        self._stop, self._lock = threading.Event(), threading.Lock()
        self.seen: Counter[tuple[int, str]] = Counter()
        self._threads = [threading.Thread(target=self._ask_on) for _ in range(4)]

    def __enter__(self) -> Readers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask_on(self) -> None:
        with httpx.Client(trust_env=False, timeout=30) as client:
            while not self._stop.is_set():
                with self._lock:
                    text = next(self._texts)
                answer = client.post(self._url, json={"text": text})
                with self._lock:
                    self.seen[answer.status_code, answer.headers["x-modelserve-revision"]] += 1
                self._stop.wait(0.005)


def test_a_version_with_worse_answers_is_stopped_before_a_client_sees_one(
    platform: Any, models: Path
) -> None:
    rows = (models / "bert-ner-1/reference.jsonl").read_text().splitlines()
    texts = [json.loads(row)["text"] for row in rows]
    platform.apply("bert-ner", models / "bert-ner-1", rollout=STRICT)
    platform.wait_for_ready("bert-ner", "bert-ner-00001")
    with Readers(platform.door, texts) as readers:
        platform.apply("bert-ner", models / "bert-ner-3-worse", rollout=STRICT)
        ended = platform.wait_for_phase("bert-ner", "rolled back")
    assert ended["totals"].get("candidate_requests", 0) == 0
    assert set(readers.seen) == {(200, "bert-ner-00001")}
    assert "shadow pairs differed" in ended["reason"]
    assert ended["verdict"]["metric"] == "disagreement"
    found = platform.cli("shadow", "diff", "bert-ner", "--limit", "5")
    first = found["differences"][0]
    assert first["input"]["items"][0] in texts
    assert any(part["kinds"] for part in first["parts"])
    (kind, _) = max(
        ((k, n) for k, n in ended["totals"].items() if k.startswith("kind_")), key=lambda kn: kn[1]
    )
    only = platform.cli("shadow", "diff", "bert-ner", "--kind", kind.removeprefix("kind_"))
    assert only["differences"]
    assert all(kind.removeprefix("kind_") in one["kinds"] for one in only["differences"])
