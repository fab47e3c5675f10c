"""The servers' observer counts: differences of one process's counters, and nothing that was not seen."""

import httpx
import pytest

from modelserve.domain.latency import BUCKETS
from modelserve.domain.rollouts import ArmCounts
from modelserve.domain.workloads import Replica, ReplicaPhase
from modelserve.observers.base import Subject
from modelserve.observers.servers import ServersObserver

STABLE = Replica("ner-00001", 0, ReplicaPhase.READY, port=1)
SECOND = Replica("ner-00001", 1, ReplicaPhase.READY, port=2)
CANDIDATE = Replica("ner-00002", 0, ReplicaPhase.READY, port=3)
SUBJECT = Subject("ner", "ner-00001", "ner-00002", (STABLE, SECOND, CANDIDATE))


class Servers:
    """Model servers as far as their figures go: set ``figures`` by port; a missing one is down."""

    def __init__(self) -> None:
        self.figures: dict[int, dict] = {}

    def set(self, replica: Replica, requests: int, failures: int = 0, epoch: str = "e", arm: str = "stable"):
        latency = [requests - failures] + [0] * (BUCKETS - 1)
        counts = {"requests": requests, "failures": failures, "client_errors": 0, "latency": latency}
        arms = {arm: counts} if requests else {}
        self.figures[replica.port] = {"revision": replica.workload, "epoch": epoch, "arms": arms}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        figures = self.figures.get(request.url.port or 0)
        if figures is None:
            raise httpx.ConnectError("down")
        return httpx.Response(200, json=figures)


@pytest.fixture
def servers():
    return Servers()


@pytest.fixture
async def observer(servers):
    async with httpx.AsyncClient(transport=httpx.MockTransport(servers)) as client:
        yield ServersObserver(client)


def all_at(servers, stable: int, second: int, candidate: int, failures: int = 0, epoch: str = "e"):
    servers.set(STABLE, stable)
    servers.set(SECOND, second)
    servers.set(CANDIDATE, candidate, failures, epoch, arm="candidate")


async def test_the_first_look_only_says_where_to_start(servers, observer):
    all_at(servers, 1000, 1000, 1000)
    sighting, _ = await observer.read(SUBJECT, {})
    assert (sighting.stable, sighting.candidate) == (None, None)


async def test_replicas_add_up(servers, observer):
    all_at(servers, 10, 20, 5)
    _, cursor = await observer.read(SUBJECT, {})
    all_at(servers, 13, 24, 7, failures=1)
    sighting, _ = await observer.read(SUBJECT, cursor)
    assert sighting.stable == ArmCounts(7, 0, (7,) + (0,) * (BUCKETS - 1))
    assert sighting.candidate == ArmCounts(2, 1, (1,) + (0,) * (BUCKETS - 1))


async def test_a_missed_reading_is_made_up_for_at_the_next(servers, observer):
    all_at(servers, 10, 10, 10)
    _, cursor = await observer.read(SUBJECT, {})
    servers.figures.pop(CANDIDATE.port)
    missed, cursor = await observer.read(SUBJECT, cursor)
    assert missed.candidate is None
    assert missed.notes == ("ner-00002/0 gave no figures",)
    all_at(servers, 10, 10, 16)
    sighting, _ = await observer.read(SUBJECT, cursor)
    assert sighting.candidate is not None
    assert sighting.candidate.requests == 6


async def test_a_restart_is_neither_success_nor_failure(servers, observer):
    all_at(servers, 10, 10, 500)
    _, cursor = await observer.read(SUBJECT, {})
    all_at(servers, 12, 10, 600, epoch="another")
    sighting, cursor = await observer.read(SUBJECT, cursor)
    assert sighting.candidate is None
    all_at(servers, 12, 10, 603, epoch="another")
    sighting, _ = await observer.read(SUBJECT, cursor)
    assert sighting.candidate is not None
    assert sighting.candidate.requests == 3


async def test_a_counter_that_fell_is_not_believed(servers, observer):
    all_at(servers, 10, 10, 500)
    _, cursor = await observer.read(SUBJECT, {})
    all_at(servers, 10, 10, 400)
    sighting, _ = await observer.read(SUBJECT, cursor)
    assert sighting.candidate is None


async def test_a_port_that_another_server_got_is_not_believed(servers, observer):
    all_at(servers, 10, 10, 5)
    _, cursor = await observer.read(SUBJECT, {})
    all_at(servers, 10, 10, 9)
    servers.figures[CANDIDATE.port]["revision"] = "other-00007"
    sighting, _ = await observer.read(SUBJECT, cursor)
    assert sighting.candidate is None


async def test_the_first_requests_of_a_new_arm_are_counted(servers, observer):
    all_at(servers, 10, 10, 0)
    _, cursor = await observer.read(SUBJECT, {})
    all_at(servers, 10, 10, 4)
    sighting, _ = await observer.read(SUBJECT, cursor)
    assert sighting.candidate is not None
    assert sighting.candidate.requests == 4
