"""Shadow pairs are joined: by request id, whichever half comes first, and never twice."""

import json
from dataclasses import replace

import httpx
import pytest

from modelserve.domain.rollouts import PairCounts
from modelserve.domain.workloads import Replica, ReplicaPhase
from modelserve.observers.answers import AnswersObserver
from modelserve.observers.base import Subject
from modelserve.observers.differences import Differences
from modelserve.observers.joining import MAX_PENDING, PATIENCE, REPEAT_PATIENCE

STABLE = Replica("ner-00001", 0, ReplicaPhase.READY, port=1)
CANDIDATE = Replica("ner-00002", 0, ReplicaPhase.READY, port=2)
COUNTED = ("pairs", "disagreements", "candidate_failures", "unmatched", "late")
SUBJECT = Subject("ner", "ner-00001", "ner-00002", (STABLE, CANDIDATE), shadowing=True)


def labels(label: str) -> dict:
    return {"kind": "labels", "items": [label]}


class Logs:
    """Answer logs of two servers."""

    def __init__(self) -> None:
        self.answers: dict[int, list[dict]] = {1: [], 2: []}
        self.epoch = "e"
        self.at = 1000.0

    def add(self, replica: Replica, id: str, answer: dict | None, arm: str = "stable", **more) -> None:
        log = self.answers[replica.port]
        told = {"seq": len(log) + 1, "id": id, "arm": arm, "status": 200, "answer": answer, "at": self.at}
        log.append(told | more)

    def both(self, id: str, stable: str, candidate: str, **more) -> None:
        self.add(STABLE, id, labels(stable), **more)
        self.add(CANDIDATE, id, labels(candidate), "shadow")

    def __call__(self, request: httpx.Request) -> httpx.Response:
        log = self.answers[request.url.port or 0]
        if request.method == "POST":
            return self._found(log, json.loads(request.content)["ids"])
        after, limit = int(request.url.params["after"]), int(request.url.params["limit"])
        assert 1 <= limit <= 1000  # what a model server takes
        page = [answer for answer in log if answer["seq"] > after][:limit]
        last = page[-1]["seq"] if page else after
        told = {"epoch": self.epoch, "next": last, "oldest": 1, "answers": page}
        return httpx.Response(200, json=told)

    def _found(self, log: list[dict], ids: list[str]) -> httpx.Response:
        assert len(ids) <= 1000
        originals = sum(answer["arm"] != "shadow" for answer in log)
        answers = [answer for answer in log if answer["id"] in ids]
        return httpx.Response(200, json={"epoch": self.epoch, "originals": originals, "answers": answers})


@pytest.fixture
def logs():
    return Logs()


@pytest.fixture
def differences():
    return Differences()


@pytest.fixture
async def observer(logs, differences):
    async with httpx.AsyncClient(transport=httpx.MockTransport(logs)) as client:
        yield AnswersObserver(client, differences)


async def read(observer, times: int, cursor: dict, subject: Subject = SUBJECT) -> tuple[PairCounts, dict]:
    """Without ``sampled``, which tests of its own look at."""
    total: dict[str, int] = {}
    for _ in range(times):
        sighting, cursor = await observer.read(subject, cursor)
        cursor = json.loads(json.dumps(cursor))
        for name in COUNTED:
            total[name] = total.get(name, 0) + (getattr(sighting.pairs, name) or 0)
    return PairCounts(**total), cursor


async def test_pairs_are_counted_once_however_often_the_logs_are_read(logs, observer):
    _, cursor = await read(observer, 1, {})
    logs.both("a", "7", "7")
    logs.both("b", "7", "1")
    counts, _ = await read(observer, 5, cursor)
    assert counts == PairCounts(pairs=2, disagreements=1)


async def test_long_logs_are_read_page_by_page(logs, observer):
    _, cursor = await read(observer, 1, {})
    for number in range(2500):
        logs.both(f"r{number}", "7", "7")
    counts, _ = await read(observer, 2, cursor)
    assert counts == PairCounts(pairs=2500)


async def test_the_halves_may_come_in_any_order(logs, observer):
    _, cursor = await read(observer, 1, {})
    logs.add(CANDIDATE, "a", labels("7"))
    logs.add(STABLE, "b", labels("7"))
    _, cursor = await read(observer, 1, cursor)
    logs.add(STABLE, "a", labels("7"))
    logs.add(CANDIDATE, "b", labels("7"))
    counts, _ = await read(observer, 1, cursor)
    assert counts == PairCounts(pairs=2)


async def test_stables_samples_without_a_copy_are_nobodys_fault(logs, observer):
    _, cursor = await read(observer, 1, {})
    for number in range(20):
        logs.add(STABLE, f"s{number}", labels("7"))
    counts, cursor = await read(observer, PATIENCE + 1, cursor)
    assert counts == PairCounts()
    assert cursor["pending"] == []


async def test_a_half_without_its_partner_is_given_up_after_a_while(logs, observer):
    _, cursor = await read(observer, 1, {})
    logs.add(CANDIDATE, "lonely", labels("7"))
    counts, cursor = await read(observer, PATIENCE, cursor)
    assert counts == PairCounts(unmatched=1)
    assert cursor["pending"] == []


async def test_a_candidate_that_failed_disagrees_and_a_stable_that_failed_says_nothing(logs, observer):
    _, cursor = await read(observer, 1, {})
    logs.add(STABLE, "a", labels("7"))
    logs.add(CANDIDATE, "a", None)
    logs.add(STABLE, "b", None)
    logs.add(CANDIDATE, "b", labels("7"))
    counts, _ = await read(observer, 1, cursor)
    assert counts == PairCounts(pairs=1, disagreements=1, candidate_failures=1)


async def test_an_id_that_was_used_twice_pairs_with_nothing(logs, observer):
    _, cursor = await read(observer, 1, {})
    logs.add(STABLE, "same", labels("1"))
    logs.add(STABLE, "same", labels("2"))
    logs.add(CANDIDATE, "same", labels("1"))
    counts, _ = await read(observer, PATIENCE, cursor)
    assert counts == PairCounts(unmatched=1)


async def test_a_client_that_sends_one_id_for_ever_causes_no_disagreement(logs, observer):
    _, cursor = await read(observer, 1, {})
    for number in range(20):
        logs.both("always the same", str(number), str(number))
        counts, cursor = await read(observer, 1, cursor)
        assert counts.disagreements == 0


async def test_outside_of_the_shadow_stage_it_sees_nothing(observer):
    live = Subject("ner", "ner-00001", "ner-00002", (STABLE, CANDIDATE))
    sighting, cursor = await observer.read(live, {})
    assert (sighting.pairs, cursor) == (None, {})


async def test_a_slow_candidates_answer_finds_its_partner_and_is_told_to_be_late(logs, observer):
    _, cursor = await read(observer, 1, {})
    logs.add(STABLE, "a", labels("7"))
    _, cursor = await read(observer, 30, cursor)
    logs.at += 15
    logs.add(CANDIDATE, "a", labels("7"), "shadow")
    counts, _ = await read(observer, 1, cursor)
    assert counts == PairCounts(pairs=1, late=1)


async def test_no_more_halves_wait_than_there_is_room_for(logs, observer):
    _, cursor = await read(observer, 1, {})
    for number in range(MAX_PENDING + 88):
        logs.add(CANDIDATE, f"r{number}", labels("7"), "shadow")
    counts, cursor = await read(observer, 1, cursor)
    assert counts == PairCounts(unmatched=88)
    assert len(cursor["pending"]) == MAX_PENDING


async def test_copies_that_are_never_answered_show_in_what_stable_sampled(logs, observer):
    _, cursor = await observer.read(SUBJECT, {})
    logs.both("a", "7", "7")
    for number in range(4):
        logs.add(STABLE, f"unanswered {number}", labels("7"))
    sighting, cursor = await observer.read(SUBJECT, cursor)
    assert (sighting.pairs.pairs, sighting.pairs.sampled) == (1, 5)
    logs.epoch = "a new process"
    sighting, _ = await observer.read(SUBJECT, cursor)
    assert sighting.pairs.sampled == 0


async def test_a_try_that_failed_elsewhere_is_not_stables_answer(logs, observer):
    _, cursor = await read(observer, 1, {})
    logs.add(STABLE, "a", None)
    logs.both("a", "7", "7")
    counts, _ = await read(observer, 1, cursor)
    assert counts == PairCounts(pairs=1)


async def test_stables_second_answer_measures_its_noise(logs, observer):
    repeating = replace(SUBJECT, repeats=True)
    _, cursor = await observer.read(repeating, {})
    for id, stable, again, candidate in ("a777", "b771", "c717", "d712", "e711"):
        logs.both(id, stable, candidate)
        logs.add(STABLE, id, labels(again), "shadow")
    seen = (await observer.read(repeating, cursor))[0].pairs
    assert (seen.pairs, seen.disagreements, seen.repeats, seen.noise) == (5, 3, 5, 3)
    assert (seen.candidate_alone, seen.stable_alone) == (1, 1)


async def test_a_pair_waits_a_little_for_stables_second_answer(logs, observer):
    repeating = replace(SUBJECT, repeats=True)
    _, cursor = await observer.read(repeating, {})
    logs.both("a", "7", "1")
    counts, cursor = await read(observer, REPEAT_PATIENCE - 1, cursor, repeating)
    assert counts == PairCounts()
    sighting, cursor = await observer.read(repeating, cursor)
    assert (sighting.pairs.pairs, sighting.pairs.repeats) == (1, 0)


async def test_the_requests_that_differ_are_kept_and_no_cursor_has_them(logs, observer, differences):
    _, cursor = await read(observer, 1, {})
    logs.both("a", "7", "1", input={"kind": "texts", "items": ["private"]})
    logs.both("b", "7", "7", input={"kind": "texts", "items": ["the same to both"]})
    logs.add(CANDIDATE, "waits", labels("7"), "shadow")
    _, cursor = await read(observer, 1, cursor)
    (kept,) = differences.of("ner", "ner-00002", 10)
    assert (kept.id, kept.input["items"], kept.difference.kinds) == ("a", ["private"], {"label": 1})
    assert "private" not in json.dumps(cursor)
