"""The controller promotes, rolls back, holds and goes on after a restart."""

import shutil
import sqlite3
from dataclasses import replace

import pytest

from modelserve.control import changes, reconcile
from modelserve.decision import stage
from modelserve.domain.labels import Prediction
from modelserve.domain.rollouts import Command, Decision, Phase, Verdict
from modelserve.domain.workloads import ReplicaPhase
from modelserve.errors import Conflict, InvalidPackage, NotFound, Unavailable
from modelserve.rollout import candidate_weight

OLD, NEW = "m-00001", "m-00002"


async def transitions(controller) -> list[str]:
    rollout = (await controller.platform.book.rollouts("m"))[-1]
    return [str(t.after) for t in await controller.platform.book.transitions(rollout.id)]


def running(controller) -> set[str]:
    return {workload.revision for workload in controller.launcher.applied[-1]}


async def test_promotes_a_healthy_candidate_step_by_step(serving, packages):
    await serving.apply(packages[1])
    weights = set()
    while serving.platform.book.service("m").rollout.phase is not Phase.PROBATION:
        await serving.ticks(1)
        weights.add(serving.weights().get(NEW, 0.0))
    assert weights == {0.0, 10.0, 50.0, 100.0}
    assert running(serving) == {OLD, NEW}
    assert serving.platform.book.service("m").stable == OLD
    await serving.until("m", "stable")
    await serving.ticks(1)
    assert serving.platform.book.service("m").stable == NEW
    assert running(serving) == {NEW}
    assert await transitions(serving) == ["canary", "canary", "probation", "stable"]


async def test_rolls_a_failing_candidate_back(serving, packages):
    serving.traffic.bad = {NEW: 0.2}
    await serving.apply(packages[1])
    ended = await serving.until("m", "rolled back")
    await serving.ticks(1)
    assert "error rate" in ended.reason
    assert serving.weights() == {OLD: 100.0}
    assert running(serving) == {OLD}


async def test_brings_the_old_revision_back_when_a_fault_shows_late(serving, packages):
    await serving.apply(packages[1])
    await serving.until("m", "probation")
    serving.traffic.bad = {NEW: 0.3}
    await serving.until("m", "rolled back", limit=20)
    await serving.ticks(1)
    assert serving.weights() == {OLD: 100.0}


async def test_retires_servers_only_after_the_switch(serving, packages):
    serving.traffic.bad = {NEW: 0.5}
    await serving.apply(packages[1])
    await serving.until("m", "canary")
    serving.router.held = True
    await serving.until("m", "rolled back", limit=30)
    await serving.ticks(3)
    assert running(serving) == {OLD, NEW}
    serving.router.release()
    await serving.ticks(1)
    assert running(serving) == {OLD}


async def test_does_not_judge_while_its_table_is_not_in_force(serving, packages):
    await serving.apply(packages[1])
    await serving.until("m", "canary")
    serving.traffic.bad = {NEW: 1.0}
    serving.router.down = True
    await serving.ticks(5)
    assert serving.platform.book.service("m").rollout.phase is Phase.CANARY
    assert "front door" in serving.platform.troubles


async def test_goes_on_after_a_restart_without_starting_anything_anew(serving, packages):
    await serving.apply(packages[1])
    await serving.until("m", "canary")
    await serving.ticks(2)
    before, replicas = serving.platform.book.service("m").rollout, await serving.launcher.replicas()
    await serving.restart()
    assert serving.platform.book.service("m").rollout == before
    await serving.until("m", "probation")
    assert await serving.launcher.replicas() == replicas


async def test_goes_on_with_evidence_anew_where_another_version_wrote_what_is_stored(
    serving, packages, caplog
):
    await serving.apply(packages[1])
    await serving.until("m", "canary")
    service = serving.platform.book.service("m")
    old = {**service.rollout.evidence, "version": 1}
    await serving.platform.book.save(service, replace(service.rollout, evidence=old))
    await serving.restart()
    serving.traffic.bad = {NEW: 0.2}
    rollout = await serving.until("m", "rolled back")
    assert "it begins anew" in caplog.text
    assert rollout.evidence["version"] > 1


async def test_a_restart_between_the_decision_and_the_switch_hurts_nobody(serving, packages):
    serving.traffic.bad = {NEW: 0.5}
    await serving.apply(packages[1])
    await serving.until("m", "canary")
    serving.router.held = True
    await serving.until("m", "rolled back", limit=30)
    await serving.restart()
    await serving.ticks(1)
    assert running(serving) == {OLD, NEW}  # the proxy still sends the candidate traffic


async def test_holds_while_its_records_are_locked_and_loses_no_evidence(serving, packages):
    await serving.apply(packages[1])
    await serving.until("m", "canary")
    before = serving.platform.book.service("m").rollout
    other = sqlite3.connect(serving.folder / "records.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    await serving.ticks(1)
    assert "holds" in serving.platform.troubles["m"]
    assert serving.platform.book.service("m").rollout == before
    other.execute("ROLLBACK")
    await serving.until("m", "probation")


async def test_holds_without_traffic_and_goes_on_with_it(serving, packages):
    await serving.apply(packages[1])
    await serving.until("m", "canary")
    serving.traffic.rate = 0
    held = await serving.until("m", "held", limit=60)
    assert serving.weights()[NEW] == 10.0
    serving.traffic.rate = 1000
    await serving.until("m", "probation")
    assert "no request" in held.reason


async def test_holds_when_nothing_can_be_seen(serving, packages):
    await serving.apply(packages[1])
    await serving.until("m", "canary")
    serving.traffic.blind = True
    await serving.until("m", "held", limit=60)


async def test_sends_no_traffic_before_the_proxy_finds_the_candidate_ready(serving, packages):
    serving.traffic.admitted = False
    await serving.apply(packages[1])
    await serving.ticks(5)
    assert serving.platform.book.service("m").rollout.phase is Phase.LOADING
    serving.traffic.admitted = True
    await serving.until("m", "canary", limit=3)


async def test_lets_no_deadline_pass_while_a_person_has_paused_the_rollout(serving, packages):
    canary = {"steps": ["10%", "100%"], "minStep": "1h"}
    judging = {"warmUp": "0s", "deadline": "30s", "onDeadline": "rollBack"}
    await serving.apply(packages[1], rules={"shadow": None, "canary": canary, "judge": judging})
    await serving.until("m", "canary")
    await changes.steer(serving.platform, "m", Command.PAUSE)
    await serving.ticks(60)
    assert serving.platform.book.service("m").rollout.phase is Phase.HELD
    await changes.steer(serving.platform, "m", Command.RESUME)
    await serving.ticks(10)
    assert serving.platform.book.service("m").rollout.phase is Phase.CANARY
    ended = await serving.until("m", "rolled back", limit=30)
    assert "no decision within the deadline of 30 s" in ended.reason


async def test_rolls_back_a_candidate_that_crashes_again_and_again(serving, packages):
    serving.launcher.put(NEW, ReplicaPhase.CRASH_LOOPING, "exit code 3: model.onnx is damaged")
    await serving.apply(packages[1])
    ended = await serving.until("m", "rolled back", limit=5)
    assert "model.onnx is damaged" in ended.reason


async def test_rolls_a_crashing_candidate_back_even_where_judging_fails(serving, packages, monkeypatch):
    await serving.apply(packages[1])
    await serving.until("m", "canary")

    def broken(*_):
        raise IndexError("tuple index out of range")

    monkeypatch.setattr(reconcile, "opinion", broken)
    await serving.ticks(2)
    assert "IndexError" in serving.platform.troubles["m"]
    assert serving.platform.book.service("m").rollout.phase is Phase.CANARY
    serving.launcher.put(NEW, ReplicaPhase.CRASH_LOOPING, "exit code 3")
    ended = await serving.until("m", "rolled back", limit=5)
    assert "exit code 3" in ended.reason


@pytest.mark.parametrize("rate", [30, 60, 90, 120, 300, 600])
async def test_judges_the_shadow_by_the_weight_that_it_goes_on_with(serving, packages, monkeypatch, rate):
    judged = []

    def promoting(spec, rollout, evidence, seen, now):
        judged.append(stage(spec, rollout, now).next_weight)
        decision = Decision.PROMOTE if seen.stable else Decision.CONTINUE
        return evidence, Verdict(decision, ("as told",))

    monkeypatch.setattr(reconcile, "opinion", promoting)
    serving.traffic.rate = rate
    await serving.apply(packages[1], rules={})
    begun = await serving.until("m", "canary")
    assert candidate_weight(serving.platform.book.service("m").policy, begun) == judged[-1]


async def test_rolls_back_a_candidate_that_stays_unready(serving, packages):
    await serving.apply(packages[1])
    await serving.until("m", "canary")
    serving.launcher.put(NEW, ReplicaPhase.UNRESPONSIVE)
    serving.traffic.rate = 0
    ended = await serving.until("m", "rolled back", limit=20)
    assert "no server of m-00002 has been ready" in ended.reason


async def test_lets_a_second_change_supersede_the_first(serving, packages):
    await serving.apply(packages[1])
    await serving.until("m", "canary")
    await serving.apply(packages[2])
    await serving.until("m", "probation")
    await serving.ticks(1)
    _, second, third = await serving.platform.book.rollouts("m")
    assert (second.phase, third.candidate, third.stable) == (Phase.SUPERSEDED, "m-00003", OLD)
    assert running(serving) == {OLD, "m-00003"}


async def test_ends_a_rollout_when_the_stable_model_is_applied_again(serving, packages):
    await serving.apply(packages[1])
    await serving.until("m", "canary")
    await serving.apply(packages[0])
    assert serving.platform.book.service("m").rollout.phase is Phase.ROLLED_BACK


async def test_starts_nothing_for_what_it_serves_already(serving, packages):
    assert "nothing to roll out" in await serving.apply(packages[0])
    assert len(await serving.platform.book.rollouts("m")) == 1


async def test_rolls_out_changed_server_settings_of_the_same_model(serving, packages):
    await serving.apply(packages[0], server={"batching": {"maxSize": 2}})
    assert serving.platform.book.service("m").rollout.candidate == NEW


async def test_rolls_back_by_hand_during_probation_and_after_it(serving, packages):
    await serving.apply(packages[1])
    await serving.until("m", "probation")
    await changes.go_back(serving.platform, "m")
    await serving.ticks(1)
    assert serving.weights() == {OLD: 100.0}

    await serving.apply(packages[2])
    await serving.until("m", "stable")
    await changes.go_back(serving.platform, "m")
    await serving.until("m", "probation")
    await serving.ticks(1)
    assert serving.weights() == {OLD: 100.0}


async def test_goes_back_to_the_last_good_revision_after_a_failed_rollout(serving, packages):
    await serving.apply(packages[1])
    await serving.until("m", "stable")
    serving.traffic.bad = {"m-00003": 0.5}
    await serving.apply(packages[2])
    await serving.until("m", "rolled back")
    await changes.go_back(serving.platform, "m")
    await serving.until("m", "probation")
    await serving.ticks(1)
    assert serving.weights() == {OLD: 100.0}


async def test_a_failed_write_does_not_stand_in_the_way_of_the_next_try(serving, packages, monkeypatch):
    async def fail(*_):
        raise Unavailable("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(serving.platform.book, "save", fail)
        with pytest.raises(Unavailable):
            await serving.apply(packages[1])
    await serving.apply(packages[1])
    await serving.until("m", "probation")


@pytest.mark.parametrize("phase", ["loading", "canary", "probation"])
async def test_time_in_which_nobody_watched_counts_for_nothing(serving, packages, phase):
    if phase == "loading":
        serving.launcher.put(NEW, ReplicaPhase.STARTING)
    await serving.apply(packages[1])
    await serving.until("m", phase)
    if phase == "canary":
        serving.launcher.put(NEW, ReplicaPhase.UNRESPONSIVE)
        await serving.ticks(2)
    serving.clock += 3600
    await serving.restart()
    await serving.ticks(2)
    assert serving.platform.book.service("m").rollout.phase == phase


async def test_one_broken_rollout_does_not_stop_the_others(serving, packages, monkeypatch):
    await serving.apply(packages[1])
    await serving.until("m", "canary")

    async def broken(*_):
        raise KeyError("arms")

    monkeypatch.setattr(serving.traffic, "read", broken)
    await serving.ticks(1)
    assert "KeyError" in serving.platform.troubles["m"]
    assert serving.platform.in_force


async def test_the_slowest_revision_sets_the_timeout(serving, packages):
    await serving.apply(packages[1], server={"queue": {"timeout": "1s"}})
    await serving.until("m", "canary")
    assert serving.router.table.services[0].policy.per_try_timeout > 10


async def test_refuses_commands_that_make_no_sense(serving):
    with pytest.raises(Conflict, match="is over"):
        await changes.steer(serving.platform, "m", Command.PROMOTE)
    with pytest.raises(Conflict, match="no earlier revision"):
        await changes.go_back(serving.platform, "m")
    with pytest.raises(NotFound, match="known: m"):
        await changes.steer(serving.platform, "x", Command.PAUSE)


async def test_stops_the_servers_of_a_deleted_service(serving):
    await changes.delete(serving.platform, "m")
    await serving.ticks(1)
    assert running(serving) == set()
    assert serving.router.table.services == ()


async def test_says_when_the_launcher_is_out_of_reach(serving):
    serving.launcher.out_of_reach = True
    with pytest.raises(Unavailable):
        await serving.ticks(1)


async def test_refuses_what_is_no_model_before_anything_changes(controller, tmp_path):
    (tmp_path / "x.onnx").write_bytes(b"not a model")
    with pytest.raises(InvalidPackage):
        await controller.apply(tmp_path / "x.onnx")
    assert controller.platform.book.services() == ()


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("preprocessor_config.json", '{"resize_mode": "letterbox"}', 'resize_mode: "letterbox"; '),
        ("preprocessor_config.json", '{"image_processor_type": "Mine"}', 'image_processor_type: "Mine"; '),
        ("preprocessor_config.json", '{"size": 16}', "images come out with height and width"),
        ("processor_config.json", '{"image_processor": {"size": 16}}', "images come out with height"),
    ],
)
async def test_refuses_pictures_that_it_could_not_prepare_before_anything_changes(
    controller, models, tmp_path, file, content, said
):
    folder = shutil.copytree(models / "resnet-digits-1", tmp_path / "digits")
    (folder / file).write_text(content)
    with pytest.raises(InvalidPackage, match=said):
        await controller.apply(folder)
    assert controller.platform.book.services() == ()


async def test_model_servers_are_told_of_caches_only_where_the_spec_asks_for_them(controller, packages):
    controller.platform.cache_url = "redis://cache"
    await controller.apply(packages[0])
    await controller.ticks(1)
    (plain,) = controller.launcher.applied[-1]
    server = {"cache": {"ttl": "90s", "maxBytes": "8Mi"}, "featureCache": {"maxBytes": "2Mi"}}
    await controller.apply(packages[0], server=server)
    await controller.ticks(1)
    asked = controller.launcher.applied[-1][-1]

    added = {
        "cache_ttl": 90.0,
        "cache_bytes": 8 << 20,
        "cache_url": "redis://cache",
        "feature_bytes": 2 << 20,
    }
    assert {key: asked.config[key] for key in asked.config.keys() - plain.config.keys()} == added


async def test_a_deleted_service_is_gone_although_its_labels_can_not_be_forgotten_now(
    serving, packages, monkeypatch
):
    records, held = serving.platform.book.records, []
    records.add_predictions("m", [Prediction("r1", OLD, "stable", 1000.0, 1.0, {"label": "cat"})], 1000.0)

    def refuse(_service):
        held.append(serving.platform.book.lock.locked())
        raise Unavailable("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(records, "forget_labels", refuse)
        await changes.delete(serving.platform, "m")
        assert held == [False]
        with pytest.raises(Unavailable, match="the disk is full"):
            await serving.apply(packages[0])
    await serving.apply(packages[0])
    assert records.label_sums("m").predictions == 0, "a new service does not count what the old one predicted"
