"""A route table follows the rollout: who answers, who gets copies, who stays within reach."""

import pytest

from modelserve.domain.rollouts import Phase, Rollout
from modelserve.domain.routes import Endpoint, Mirror, Weight
from modelserve.domain.services import ServiceSpec
from modelserve.domain.workloads import Replica, ReplicaPhase
from modelserve.routing.table import Traffic, revisions, routes

SPEC = ServiceSpec.model_validate({"model": {"uri": "/m"}, "rollout": {"shadow": {"share": "20%"}}})
REPLICAS = (
    Replica("ner-00002", 0, ReplicaPhase.READY, port=9002),
    Replica("ner-00001", 1, ReplicaPhase.READY, port=9001),
    Replica("ner-00001", 0, ReplicaPhase.READY, port=9000),
    Replica("ner-00001", 2, ReplicaPhase.STARTING),
)


def rollout(phase: Phase, **changes: object) -> Rollout:
    fields = {"id": "r", "service": "ner", "stable": "ner-00001", "candidate": "ner-00002"}
    return Rollout(**fields, phase=phase, started=0.0, entered=0.0, **changes)


def route(state: Rollout | None, weight: float = 0.0, stable: str | None = "ner-00001"):
    (only,) = routes([Traffic("ner", SPEC, stable, state, weight)], REPLICAS, None).services
    return only


def test_without_a_rollout_the_stable_revision_answers_everything():
    only = route(None)
    assert only.weights == (Weight("ner-00001", 100.0),)
    assert [b.revision for b in only.backends] == ["ner-00001"]
    assert only.backends[0].endpoints == (Endpoint("127.0.0.1", 9000), Endpoint("127.0.0.1", 9001))


def test_in_the_shadow_stage_the_candidate_gets_copies_and_no_traffic():
    only = route(rollout(Phase.SHADOW))
    assert only.weights == (Weight("ner-00001", 100.0),)
    assert only.mirror == Mirror("ner-00002", 20.0, inputs=True)


def test_a_stable_revision_that_may_differ_from_itself_gets_copies_too():
    asked = Traffic("ner", SPEC, "ner-00001", rollout(Phase.SHADOW), repeats=True)
    (only,) = routes([asked], REPLICAS, None).services
    assert only.mirror == Mirror("ner-00002", 20.0, repeat=True, inputs=True)


@pytest.mark.parametrize(("share", "expected"), [(0.1, (90.0, 10.0)), (0.005, (99.5, 0.5)), (0.5, (50, 50))])
def test_in_the_canary_the_weights_sum_to_100(share, expected):
    only = route(rollout(Phase.CANARY, step=0), share)
    assert tuple(w.percent for w in only.weights) == expected
    assert [w.arm for w in only.weights] == ["stable", "candidate"]
    assert only.fallback == "ner-00001"
    assert only.mirror is None


def test_a_held_shadow_goes_on_getting_copies():
    assert route(rollout(Phase.HELD, resume_phase=Phase.SHADOW)).mirror is not None


def test_in_probation_the_old_revision_is_parked_within_reach():
    only = route(rollout(Phase.PROBATION), 1.0)
    assert only.weights == (Weight("ner-00002", 100.0, "candidate"),)
    assert {b.revision for b in only.backends} == {"ner-00001", "ner-00002"}
    assert only.fallback == "ner-00001"


def test_a_finished_rollout_leaves_only_its_winner():
    assert revisions(Traffic("ner", SPEC, "ner-00001", rollout(Phase.ROLLED_BACK))) == ("ner-00001",)
    assert revisions(Traffic("ner", SPEC, "ner-00002", rollout(Phase.STABLE))) == ("ner-00002",)


def test_a_first_revision_is_routed_while_it_loads_and_forgotten_if_it_fails():
    first = Rollout("r", "ner", "", "ner-00002", Phase.LOADING, 0.0, 0.0)
    assert route(first, stable=None).weights == (Weight("ner-00002", 100.0),)
    failed = Rollout("r", "ner", "", "ner-00002", Phase.ROLLED_BACK, 0.0, 0.0)
    assert routes([Traffic("ner", SPEC, None, failed)], REPLICAS, None).services == ()


def test_a_try_outlasts_the_server_and_two_fit_into_the_timeout():
    policy = route(None).policy
    assert SPEC.server.queue.timeout < policy.per_try_timeout <= policy.timeout / 2


def test_services_stand_in_the_order_of_their_names():
    table = routes([Traffic(n, SPEC, f"{n}-00001") for n in ("b", "a")], (), Endpoint("127.0.0.1", 1))
    assert [service.service for service in table.services] == ["a", "b"]
    assert table.control == Endpoint("127.0.0.1", 1)


def test_a_table_with_grpc_knows_where_each_replica_speaks_it() -> None:
    replicas = [Replica("a-00001", 0, ReplicaPhase.READY, port=9000, grpc_port=9100)]
    table = routes([Traffic("a", SPEC, "a-00001")], replicas, None, grpc=True)
    assert table.grpc
    assert table.services[0].backends[0].endpoints == (Endpoint("127.0.0.1", 9000, 9100),)
