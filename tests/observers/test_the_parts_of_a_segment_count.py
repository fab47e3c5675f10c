"""The parts of a segment count: differences of one process's counters, by part and arm."""

import json
from dataclasses import dataclass, field

import httpx
import pytest

from modelserve.domain.guardrails import Guardrail, Segment
from modelserve.domain.rollouts import Outcome, Trials
from modelserve.domain.workloads import Replica, ReplicaPhase
from modelserve.observers.base import Subject
from modelserve.observers.servers import ServersObserver

STABLE = Replica("ner-00001", 0, ReplicaPhase.READY, port=1)
SECOND = Replica("ner-00001", 1, ReplicaPhase.READY, port=2)
CANDIDATE = Replica("ner-00002", 0, ReplicaPhase.READY, port=3)
TENANT = {"name": "tenant", "header": "x-tenant", "by": None}
SIZE = {"name": "size", "header": None, "by": "size"}
KEY = "error_rate by tenant"
SUBJECT = Subject(
    "ner",
    "ner-00001",
    "ner-00002",
    (STABLE, SECOND, CANDIDATE),
    guardrails=(
        Guardrail(metric="error_rate", max_increase="1%"),
        Guardrail(metric="error_rate", max_increase="1%", segment="tenant"),
        Guardrail(metric="accuracy", max_decrease="1%", segment="size"),
    ),
    segments=(Segment(name="tenant", header="x-tenant"), Segment(name="size", by="size")),
)


@dataclass
class Servers:
    """Model servers as far as their figures go, by port."""

    parts: dict[int, dict] = field(default_factory=dict)
    divided: dict[int, list] = field(default_factory=dict)
    epochs: dict[int, str] = field(default_factory=dict)
    asked: list[int] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        port = request.url.port
        if request.method == "PUT":
            self.asked.append(port)
            self.divided[port] = json.loads(request.content)["segments"]
            return httpx.Response(200, json={})
        replica = next(r for r in SUBJECT.replicas if r.port == port)
        arm = "stable" if replica.workload == "ner-00001" else "candidate"
        segments = [{**one, "arms": {arm: self.parts.get(port, {})}} for one in self.divided.get(port, [])]
        epoch = self.epochs.get(port, "e")
        return httpx.Response(
            200, json={"revision": replica.workload, "epoch": epoch, "arms": {}, "segments": segments}
        )


@pytest.fixture
def servers():
    return Servers()


@pytest.fixture
async def observer(servers):
    async with httpx.AsyncClient(transport=httpx.MockTransport(servers)) as client:
        yield ServersObserver(client)


@pytest.fixture
async def cursor(servers, observer):
    """Everybody was asked, and has been read since."""
    _, cursor = await observer.read(SUBJECT, {})
    _, cursor = await observer.read(SUBJECT, cursor)
    return cursor


async def test_once_every_server_was_asked_for_them(servers, observer, cursor):
    assert servers.asked == [1, 2, 3]
    assert servers.divided[3] == [TENANT, SIZE], "of labels, too: what is predicted is remembered with it"


async def test_added_up_over_servers(servers, observer, cursor):
    servers.parts = {1: {"acme": [1, 10, 1]}, 2: {"acme": [1, 5, 0]}, 3: {"acme": [1, 4, 4]}}
    sighting, cursor = await observer.read(SUBJECT, cursor)
    assert sighting.outcomes == {f"{KEY}=acme": Outcome(Trials(15, 1), Trials(4, 4))}
    servers.parts[3] = {"acme": [1, 6, 5], "globex": [2, 3, 0]}
    sighting, _ = await observer.read(SUBJECT, cursor)
    assert sighting.outcomes == {
        f"{KEY}=acme": Outcome(Trials(0, 0), Trials(2, 1)),
        f"{KEY}=globex": Outcome(Trials(0, 0), Trials(3, 0)),
    }


async def test_from_nothing_where_a_part_was_begun_anew(servers, observer, cursor):
    servers.parts = {3: {"acme": [1, 10, 2]}}
    _, cursor = await observer.read(SUBJECT, cursor)
    servers.parts = {3: {"acme": [7, 12, 1]}}
    sighting, _ = await observer.read(SUBJECT, cursor)
    assert sighting.outcomes == {f"{KEY}=acme": Outcome(Trials(0, 0), Trials(12, 1))}


async def test_but_not_those_of_a_server_that_was_started_anew(servers, observer, cursor):
    servers.parts = {1: {"acme": [1, 10, 1]}, 3: {"acme": [1, 10, 10]}}
    servers.epochs = {3: "another"}
    sighting, _ = await observer.read(SUBJECT, cursor)
    assert sighting.outcomes == {f"{KEY}=acme": Outcome(Trials(10, 1), None)}


async def test_but_not_the_rest_for_servers_have_different_rests(servers, observer, cursor):
    servers.parts = {1: {"other": [1, 10, 0]}, 3: {"other": [1, 10, 10]}}
    sighting, _ = await observer.read(SUBJECT, cursor)
    assert sighting.outcomes == {}


async def test_not_where_no_guardrail_names_a_segment(servers, observer):
    plain = Subject("ner", "ner-00001", "ner-00002", (STABLE, CANDIDATE), guardrails=SUBJECT.guardrails[:1])
    for _ in range(2):
        await observer.read(plain, {})
    assert servers.asked == []
