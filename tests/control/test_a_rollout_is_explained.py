"""Every verdict of a real rollout is given again, to the last bit, from what the records hold."""

import json
import sqlite3
import zlib
from dataclasses import replace

import httpx
import pytest

from modelserve.audit import course, explain
from modelserve.control import changes
from modelserve.control.app import create_app
from modelserve.control.audit_api import read
from modelserve.domain.rollouts import Command
from modelserve.domain.workloads import ReplicaPhase
from modelserve.rollout.looks import decode
from modelserve.stores.records import Retention, open_records

SLOW = {"canary": {"steps": ["10%", "50%", "100%"], "minStep": "1h"}, "shadow": None, "probation": "30s"}
SAME = "judged again: {} looks, the same verdict every time, to the last bit"


async def explained(controller, id="latest"):
    _, record = await read(controller.platform, "m", id)
    return explain(record)


def altered(controller, change):
    """Change the lines of the stored looks, as somebody with access to the file could."""
    with sqlite3.connect(controller.folder / "records.db") as file:
        rows = file.execute("SELECT rowid, first, lines FROM looks ORDER BY first").fetchall()
        for row, first, packed in rows:
            lines = zlib.decompress(packed).decode().split("\n")
            changed = [change(first + i, line) for i, line in enumerate(lines)]
            packed = zlib.compress("\n".join(changed).encode())
            file.execute("UPDATE looks SET lines = ? WHERE rowid = ?", (packed, row))


@pytest.fixture
async def rolled_back(serving, packages):
    await serving.apply(packages[1], rules=SLOW)
    serving.traffic.rate = 200
    await serving.ticks(10)
    serving.traffic.bad = {"m-00002": 0.05}
    await serving.until("m", "rolled back")
    return serving


async def test_that_was_promoted(serving, packages):
    await serving.apply(packages[1])
    await serving.until("m", "stable")
    found = await explained(serving)
    assert found["same"] is True
    made = found["looks"]["made"]
    assert found["looks"] == {"made": made, "kept": made, "judged": made}
    assert found["verdict"] == SAME.format(made)
    assert found["notes"] == []
    assert [chapter["title"] for chapter in found["chapters"]] == [
        "the candidate loads",
        "the candidate answers 10 % of the requests",
        "the candidate answers 50 % of the requests",
        "the candidate answers everything (probation)",
    ]
    assert [chapter["ended_by"] for chapter in found["chapters"]] == [
        "the controller", "the judge: promote", "the judge: promote", "the judge: continue",
    ]  # fmt: skip


async def test_that_was_rolled_back_by_the_evidence(rolled_back):
    found = await explained(rolled_back)
    assert found["same"] is True
    last = found["chapters"][-1]
    assert last["ended_by"] == "the judge: roll back, for error_rate"
    assert last["then"] == "rolled back"
    assert last["why"].startswith("error rate")
    assert last["seen"][0].startswith("candidate: ")
    (errors,) = (reading for reading in last["evidence"] if reading["metric"] == "error_rate")
    assert errors["harm"] >= 1


async def test_that_a_second_controller_went_on_with(serving, packages):
    await serving.apply(packages[1], rules=SLOW)
    await serving.until("m", "canary")
    for _ in range(4):
        await serving.ticks(3)
        await serving.restart()
    serving.clock += 60  # nobody was watching
    await serving.ticks(3)
    found = await explained(serving)
    assert found["looks"]["judged"] == found["looks"]["made"] > 10
    assert found["same"] is True


async def test_in_which_looks_saw_nothing(serving, packages):
    await serving.apply(packages[1], rules=SLOW)
    await serving.until("m", "canary")
    await serving.ticks(2)
    serving.traffic.blind = True
    await serving.ticks(20)
    serving.traffic.blind = False
    await serving.ticks(5)
    found = await explained(serving)
    assert found["same"] is True
    titles = [chapter["title"] for chapter in found["chapters"]]
    assert titles[-2:] == ["held at 10 %", "the candidate answers 10 % of the requests"]
    assert found["chapters"][1]["missing"][0].startswith("candidate could not be seen in 1")
    assert "down (" in found["chapters"][2]["missing"][-1]


async def test_that_a_person_steered(serving, packages):
    await serving.apply(packages[1], rules=SLOW)
    await serving.until("m", "canary")
    await serving.ticks(3)
    await changes.steer(serving.platform, "m", Command.PAUSE)
    await serving.ticks(3)
    await changes.steer(serving.platform, "m", Command.PROMOTE)
    await serving.ticks(3)
    found = await explained(serving)
    assert found["same"] is True
    assert [chapter["ended_by"] for chapter in found["chapters"]][1:] == ["a person", "a person", ""]


async def test_that_ended_by_a_hard_failure(serving, packages):
    await serving.apply(packages[1], rules=SLOW)
    await serving.until("m", "canary")
    await serving.ticks(3)
    serving.launcher.put("m-00002", ReplicaPhase.CRASH_LOOPING, "exit code 1")
    await serving.until("m", "rolled back", limit=30)
    found = await explained(serving)
    assert found["same"] is True
    assert found["chapters"][-1]["ended_by"] == "the judge: roll back, for hard_failure"


async def test_that_is_kept_in_postgres(serving, packages, postgres_url):
    records = open_records(postgres_url)
    serving._platform = lambda make=serving._platform: with_records(make(), records)
    await serving.restart()
    await serving.apply(packages[0])
    await serving.until("m", "stable")
    await serving.apply(packages[1])
    await serving.until("m", "stable")
    found = await explained(serving)
    assert found["same"] is True
    assert found["looks"]["judged"] > 30
    records.close()


def with_records(platform, records):
    from modelserve.control.book import Book

    platform.book = Book(records)
    return platform


async def test_although_old_looks_are_gone(serving, packages, monkeypatch):
    for name in (
        "control.recording.GROUND_EVERY",
        "audit.keeping.GROUND_EVERY",
        "stores.records.looks.BLOCK",
    ):
        monkeypatch.setattr(f"modelserve.{name}", 16)
    serving._platform = lambda make=serving._platform: with_records(
        make(), open_records(f"sqlite:///{serving.folder / 'records.db'}", Retention(looks=16))
    )
    await serving.restart()
    await serving.apply(packages[1], rules=SLOW)
    await serving.until("m", "canary")
    await serving.ticks(2 * 16 + 10)
    found = await explained(serving)
    assert found["same"] is True
    assert found["looks"] == {"made": 42, "kept": 26, "judged": 26}
    assert found["notes"] == [
        "looks 0 to 15 are no longer kept: judged from look 16 on, from the evidence that was stored "
        "before it; of earlier ones only those that changed the state"
    ]


async def test_by_its_transitions_alone_if_no_looks_are_kept(serving, packages):
    serving._platform = lambda make=serving._platform: with_records(
        make(), open_records(f"sqlite:///{serving.folder / 'records.db'}", Retention(looks=0))
    )
    await serving.restart()
    await serving.apply(packages[1])
    await serving.until("m", "stable")
    found = await explained(serving)
    assert found["same"] is True
    assert found["looks"]["kept"] == 0
    assert found["looks"]["judged"] == 3
    assert found["notes"] == [
        "no looks are kept: only the 3 that changed the state were judged, each by itself"
    ]


async def test_unless_a_count_was_altered(rolled_back):
    def hide(number, line):
        return line.replace('"failures":1,', "") if number == 10 else line

    altered(rolled_back, hide)
    found = await explained(rolled_back)
    assert found["same"] is False
    assert found["differences"][0]["look"] == 10
    assert found["differences"][0]["what"] == "verdict"
    assert found["verdict"].endswith("and not all is as it was recorded")


async def test_unless_a_decision_was_altered(rolled_back):
    altered(rolled_back, lambda n, line: line.replace('"continue"', '"hold"') if n == 2 else line)
    found = await explained(rolled_back)
    assert [d["words"] for d in found["differences"]] == ["look 2: 'hold' was recorded, now it is 'continue'"]


async def test_unless_looks_were_taken_away(rolled_back):
    with sqlite3.connect(rolled_back.folder / "records.db") as file:
        ((first, count, packed),) = file.execute("SELECT first, count, lines FROM looks").fetchall()
        lines = zlib.decompress(packed).decode().split("\n")
        assert (first, count) == (0, len(lines))
        file.execute("UPDATE looks SET lines = ?", (zlib.compress("\n".join(lines[:-2]).encode()),))
    found = await explained(rolled_back)
    assert [(d["look"], d["what"]) for d in found["differences"]] == [(count - 2, "missing")]
    assert found["looks"]["judged"] == count - 1, "the last one stands with its transition, too"


async def test_unless_the_evidence_was_altered(rolled_back):
    with sqlite3.connect(rolled_back.folder / "records.db") as file:
        file.execute(
            "UPDATE rollouts SET document = json_set(document, '$.evidence.whole.stable_failures', 1)"
        )
    found = await explained(rolled_back)
    assert [d["words"] for d in found["differences"]] == [
        "the rollout's evidence: whole.stable_failures was 1, now it is 0"
    ]


async def test_unless_the_rules_were_altered(rolled_back):
    _, record = await read(rolled_back.platform, "m", "latest")
    found = explain(replace(record, policy="other"))
    assert {d["what"] for d in found["differences"]} == {"rules"}


async def test_unless_a_line_is_damaged(rolled_back):
    altered(rolled_back, lambda n, line: line[:-9] if n == 3 else line)
    found = await explained(rolled_back)
    assert found["differences"][0]["words"].startswith("look 3: a look can't be read")
    assert found["differences"][0]["what"] == "look"


async def test_and_says_when_another_judge_decided(rolled_back):
    _, record = await read(rolled_back.platform, "m", "latest")
    found = explain(replace(record, judge={**record.judge, "code": "0f", "modelserve": "9.9"}))
    assert found["same"] is True
    (note,) = found["notes"]
    assert note.startswith("part of it was decided by another judge: code ")
    assert note.endswith("this is code 0f of ModelServe 9.9")


async def test_and_says_when_the_evidence_is_of_another_version(rolled_back):
    altered(rolled_back, lambda n, line: line)
    _, record = await read(rolled_back.platform, "m", "latest")
    older = json.loads(json.dumps(record.transitions[-1].look))
    older["ground"]["evidence"]["version"] = 0
    older["ground"]["judge"]["evidence"] = "0"
    transitions = (*record.transitions[:-1], replace(record.transitions[-1], look=older))
    found = explain(replace(record, transitions=transitions))
    assert found["same"] is False
    assert "stored evidence has version 0; this judge reads" in found["differences"][0]["words"]
    assert "whose evidence has version 0" in found["notes"][0]


async def test_as_a_course_of_few_points(rolled_back):
    _, record = await read(rolled_back.platform, "m", "latest")
    found = course(record, 4)
    looks = record.rollout.looks
    assert 4 <= len(found["points"]) <= 6
    requests = sum(point["candidate"][0] for point in found["points"] if point["candidate"])
    assert requests == record.rollout.totals["candidate_requests"]
    assert found["points"][-1]["evidence"]["error_rate"][0] >= 1
    assert found["looks"] == {"made": looks, "kept": looks}
    assert [t["after"] for t in found["transitions"]] == ["canary", "rolled back"]


async def test_over_http(rolled_back):
    transport = httpx.ASGITransport(create_app(rolled_back.platform))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as client:
        rollout = rolled_back.platform.book.service("m").rollout
        for id in ("latest", rollout.id, rollout.id[:8], "m-00002"):
            found = (await client.get(f"/api/v1/services/m/rollouts/{id}/explain")).json()
            assert (found["rollout"]["id"], found["same"]) == (rollout.id, True)
        lines = await client.get("/api/v1/services/m/rollouts/latest/looks")
        assert lines.headers["content-type"].startswith("application/x-ndjson")
        assert [decode(line).number for line in lines.text.splitlines()] == list(range(rollout.looks))
        drawn = await client.get("/api/v1/services/m/rollouts/latest/course?points=3")
        assert len(drawn.json()["points"]) <= 5
        unknown = await client.get("/api/v1/services/m/rollouts/nope/explain")
        assert unknown.status_code == 404
        assert "m has no one rollout 'nope'; the latest are" in unknown.json()["detail"]
        wrong = await client.get("/api/v1/services/m/rollouts/latest/course?points=0")
        assert wrong.status_code == 422
