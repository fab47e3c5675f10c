"""Experiments from their beginning to their end, tick by tick."""

from __future__ import annotations

import pytest

from modelserve.control import changes, experiments
from modelserve.control.exposures import Tail, anonymous
from modelserve.control.outcomes import record
from modelserve.domain.experiments import Experiment
from modelserve.domain.routes import Slots
from modelserve.domain.workloads import ReplicaPhase
from modelserve.errors import Conflict, InvalidSpec, NotFound
from tests.control.exposed import line


def document(challenger="stable", weights=("50%", "50%"), name="tone", **more):
    own = {"revision": challenger} if challenger == "stable" else {"model": {"uri": str(challenger)}}
    arms = [
        {"name": "a", "weight": weights[0], "revision": "stable"},
        {"name": "b", "weight": weights[1], **own},
    ]
    spec = {"service": "m", "key": {"header": "x-user"}, "arms": arms, "metrics": [{"name": "ok"}]}
    return Experiment.model_validate({"metadata": {"name": name}, "spec": spec | more})


def route(controller):
    (found,) = controller.router.table.services
    return found


async def begun(controller, *given, **more):
    state, _ = await experiments.apply(controller.platform, document(*given, **more))
    await controller.ticks(3)
    return state


async def test_an_experiment_begins_when_its_servers_are_ready(serving, packages):
    await experiments.apply(serving.platform, document(packages[1]))
    await serving.ticks(1)
    assert route(serving).split is None
    await serving.ticks(2)
    split = route(serving).split
    assert split.slots == (Slots("a", "m-00001", 5000), Slots("b", "m-00002", 5000))
    assert (split.experiment, split.header) == ("tone", "x-user")
    assert serving.weights() == {"m-00001": 100.0}, "who carries no key meets the control"


async def test_two_arms_may_be_the_same_revision(serving):
    await begun(serving)
    assert {run.revision for run in route(serving).split.slots} == {"m-00001"}
    assert len(route(serving).backends) == 1


async def test_a_killed_controller_goes_on_with_it(serving, packages):
    await begun(serving, packages[1])
    before = route(serving)
    await serving.restart()
    await serving.ticks(1)
    assert route(serving) == before


async def test_weights_change_and_nothing_else(serving, packages):
    await begun(serving, packages[1])
    await experiments.apply(serving.platform, document(packages[1], ("40%", "60%")))
    await serving.ticks(1)
    sizes = [(run.arm, run.size) for run in route(serving).split.slots]
    assert sizes == [("a", 4000), ("b", 6000)]
    with pytest.raises(Conflict, match="only its weights may change"):
        await experiments.apply(serving.platform, document(packages[2]))


async def test_an_experiment_ends_by_hand(serving, packages):
    await begun(serving, packages[1])
    await experiments.stop(serving.platform, "tone")
    await serving.ticks(2)
    assert route(serving).split is None
    assert [backend.revision for backend in route(serving).backends] == ["m-00001"]
    assert set(serving.platform.applied) == {"m-00001"}
    with pytest.raises(Conflict, match="over already: stopped by hand"):
        await experiments.stop(serving.platform, "tone")
    with pytest.raises(Conflict, match="choose another name"):
        await experiments.apply(serving.platform, document(packages[1]))


async def test_an_experiment_ends_at_its_time(serving):
    await begun(serving, maxDuration="5s")
    await serving.ticks(6)
    state = await experiments.get(serving.platform, "tone")
    assert (state.phase, state.reason) == ("over", "it has lasted 5s")


async def test_an_arm_that_never_answers_ends_it(serving, packages):
    await experiments.apply(serving.platform, document(packages[1]))
    serving.launcher.put("m-00002", ReplicaPhase.CRASH_LOOPING, "no such file")
    await serving.ticks(125)
    state = await experiments.get(serving.platform, "tone")
    assert (state.phase, state.started) == ("over", None)
    assert "were not ready in time" in state.reason
    assert state.reason.endswith("m-00002: no such file")
    assert set(serving.platform.applied) == {"m-00001"}


async def test_a_fault_of_theirs_leaves_services_alone(serving, packages, tmp_path):
    serving.platform.exposures = Tail(tmp_path)
    await begun(serving, packages[1])
    assert "experiments" in serving.platform.troubles
    assert serving.platform.in_force


async def test_a_rollout_waits_for_the_end_of_an_experiment(serving, packages):
    await begun(serving, packages[1])
    with pytest.raises(Conflict, match="modelserve experiment stop tone"):
        await serving.apply(packages[2])
    for change in (changes.go_back, changes.delete):
        with pytest.raises(Conflict, match="takes part in the experiment 'tone'"):
            await change(serving.platform, "m")
    await experiments.stop(serving.platform, "tone")
    assert "is rolled out against m-00001" in await serving.apply(packages[2])


async def test_an_experiment_waits_for_the_end_of_a_rollout(serving, packages):
    await serving.apply(packages[1])
    with pytest.raises(Conflict, match="has a rollout that is not over"):
        await experiments.apply(serving.platform, document())


async def test_a_service_has_one_experiment_at_a_time(serving):
    await begun(serving)
    with pytest.raises(Conflict, match="one at a time"):
        await experiments.apply(serving.platform, document(name="speed"))


async def test_what_is_not_there_is_told(serving):
    with pytest.raises(NotFound, match="no service 'gone'; known: m"):
        await experiments.apply(serving.platform, document(service="gone"))
    with pytest.raises(NotFound, match="no experiment 'tone'; known: none yet"):
        await experiments.stop(serving.platform, "tone")
    arms = [{"name": "a", "weight": "50%", "revision": r} for r in ("stable", "m-00009")]
    arms[1]["name"] = "b"
    with pytest.raises(InvalidSpec, match=r"arms\.b\.revision: got 'm-00009': m has m-00001"):
        await experiments.apply(serving.platform, document(arms=arms))


@pytest.fixture
async def logged(serving, tmp_path):
    """A running experiment and the log that its exposures are read from."""
    serving.platform.exposures = Tail(tmp_path / "exposures.log")
    await begun(serving)
    return tmp_path / "exposures.log"


def exposed(controller):
    census = controller.platform.book.records.census("tone")
    return {arm: count for _, arm, count in census.counts}, census.crossed


async def test_exposures_are_counted_once(serving, logged):
    logged.write_text(
        line("x") + line("x") + line("y", "b") + "{damaged\n" + line("z", at=1.0) + line("w")[:9]
    )
    await serving.ticks(2)
    assert exposed(serving) == ({"a": 1, "b": 1}, 0)
    with logged.open("a") as file:
        file.write(line("w")[9:] + line("x", "b"))
    await serving.ticks(1)
    assert exposed(serving) == ({"a": 2, "b": 1}, 1)
    serving.platform.exposures = Tail(logged)
    await serving.ticks(1)
    assert exposed(serving) == ({"a": 2, "b": 1}, 1), "a new controller reads the log again"


async def test_a_log_that_is_set_aside_is_read_to_its_end(serving, logged):
    logged.write_text(line("x"))
    await serving.ticks(1)
    with logged.open("a") as file:
        file.write(line("y"))
    logged.rename(logged.with_suffix(".log.1"))
    logged.write_text(line("z"))
    await serving.ticks(3)
    assert exposed(serving) == ({"a": 3}, 0)


async def test_keys_are_kept_as_hashes_alone(serving, logged):
    logged.write_text(line("ada@example.com"))
    await serving.ticks(1)
    key = anonymous("tone", "ada@example.com")
    assert serving.platform.book.records.exposures("tone", keys=[key])
    assert key != anonymous("speed", "ada@example.com")
    assert b"ada@" not in (serving.folder / "records.db").read_bytes()


async def test_a_deleted_experiment_leaves_nothing_and_no_split(serving, packages, logged):
    logged.write_text(line("x") + line("y", "b"))
    await serving.ticks(1)
    message = await experiments.delete(serving.platform, "tone")
    assert message == "tone is deleted; m-00001 answers all requests of m again"
    await serving.ticks(2)
    assert route(serving).split is None
    assert exposed(serving) == ({}, 0)
    assert "is rolled out against m-00001" in await serving.apply(packages[1])
    with pytest.raises(NotFound, match="known: none yet"):
        await experiments.delete(serving.platform, "tone")


async def test_a_name_that_was_deleted_begins_anew(serving, logged):
    logged.write_text(line("x") + line("y", "b"))
    await serving.ticks(1)
    await experiments.stop(serving.platform, "tone")
    assert (
        await experiments.delete(serving.platform, "tone")
        == "tone is deleted with its exposures and outcomes"
    )
    serving.clock = 6000.0
    await begun(serving)
    with logged.open("a") as file:
        file.write(line("x", at=serving.clock))
    await serving.ticks(1)
    assert exposed(serving) == ({"a": 1}, 0), "what was logged of the old one is not counted"


async def test_a_name_whose_service_was_deleted_begins_anew(serving, packages, logged):
    logged.write_text(line("x") + line("y", "b"))
    await serving.ticks(1)
    await record(serving.platform, "tone", [{"key": "x", "metric": "ok", "value": 1}])
    await experiments.stop(serving.platform, "tone")
    await changes.delete(serving.platform, "m")
    assert not serving.platform.told
    await serving.apply(packages[0])
    await serving.until("m", "stable")
    serving.clock = 6000.0
    await begun(serving)
    with logged.open("a") as file:
        file.write(line("x", at=serving.clock))
    await serving.ticks(1)
    assert exposed(serving) == ({"a": 1}, 0)
