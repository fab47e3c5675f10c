"""Late labels decide: about a candidate that answers every request, and answers wrong."""

import random
from dataclasses import dataclass, field

import pytest

from modelserve.control.labels import PATIENCE, LabelDesk
from modelserve.domain.labels import WINDOW, Label, Prediction
from modelserve.domain.rollouts import Phase

OLD, NEW = "m-00001", "m-00002"
ACCURACY = {"metric": "accuracy", "maxDecrease": "5%"}


def rules(*guardrails, **more):
    errors = {"metric": "error_rate", "maxIncrease": "1%"}
    return {
        "canary": {"steps": ["50%", "100%"], "minStep": "1s"},
        "shadow": None,
        "probation": "300s",
        "judge": {"guardrails": [errors, *guardrails]},
    } | more


@dataclass
class Feedback:
    """Requests of which each is labelled a while later, on top of a controller's ticks."""

    controller: object
    right: dict[str, float]
    """Share of right predictions by revision."""
    delay: dict[str, int] = field(default_factory=lambda: {OLD: 3, NEW: 3})
    """Ticks from a prediction to its label."""
    rate: int = 40
    label: object = staticmethod(lambda right: {"correct": right})
    predicted: object = staticmethod(lambda right: {})
    hurt: str = ""
    """The tenant, a third of all requests, that the candidate is wrong about."""
    count: int = 0
    due: dict[int, list[Label]] = field(default_factory=dict)
    tick: int = 0
    dice: random.Random = field(default_factory=lambda: random.Random(7))

    async def until(self, *phases: str, limit: int = 200):
        for _ in range(limit):
            await self.once()
            if (rollout := self.controller.platform.book.service("m").rollout).phase in phases:
                return rollout
        pytest.fail(f"m is {rollout.phase} ({rollout.reason}), not {phases}: {rollout.verdict}")

    async def once(self) -> None:
        self.tick += 1
        weights = self.controller.weights()
        made = [
            self.ask(revision, percent) for revision, percent in weights.items() for _ in range(self.rate)
        ]
        desk: LabelDesk = self.controller.platform.labels
        await desk.remember("m", [prediction for prediction in made if prediction])
        await desk.take("m", self.due.pop(self.tick, []))
        await self.controller.ticks(1)

    def ask(self, revision: str, percent: float) -> Prediction | None:
        if self.dice.random() * 100 >= percent:
            return None
        self.count += 1
        share = self.controller.weights().get(NEW, 0.0) / 100
        arm = "candidate" if revision == NEW else "stable"
        tenant = self.dice.choice(["acme", "bee", "cow"])
        right = self.dice.random() < self.right[revision] and (revision == OLD or tenant != self.hurt)
        id = f"r{self.count}"
        due = self.tick + self.delay[revision] + self.dice.randint(0, 3)
        self.due.setdefault(due, []).append(Label(id, self.label(right)))
        return Prediction(
            id, revision, arm, self.controller.clock, share, self.predicted(right), {"tenant": tenant}
        )


async def test_in_the_canary_where_they_must_be_there(serving, packages):
    await serving.apply(packages[1], rules({**ACCURACY, "required": True}))
    rollout = await Feedback(serving, {OLD: 0.95, NEW: 0.6}).until("rolled back")
    assert rollout.step == 0
    assert "accuracy" in rollout.reason
    assert serving.weights() == {OLD: 100.0}


async def test_for_a_candidate_that_is_as_good(serving, packages):
    await serving.apply(packages[1], rules({**ACCURACY, "maxDecrease": "20%", "required": True}))
    await Feedback(serving, {OLD: 0.95, NEW: 0.95}).until("probation")


async def test_in_probation_that_it_goes_back(serving, packages):
    await serving.apply(packages[1], rules({**ACCURACY, "maxDecrease": "20%", "required": True}))
    feedback = Feedback(serving, {OLD: 0.95, NEW: 0.95})
    await feedback.until("probation")
    feedback.right[NEW] = 0.3
    rollout = await feedback.until("rolled back")
    assert "accuracy" in rollout.reason
    assert serving.weights() == {OLD: 100.0}


async def test_in_probation_by_labels_of_the_canary_that_come_only_then(serving, packages):
    await serving.apply(packages[1], rules(ACCURACY, canary={"steps": ["50%", "100%"], "minStep": "30s"}))
    feedback = Feedback(serving, {OLD: 0.95, NEW: 0.5}, delay={OLD: 60, NEW: 60})
    await feedback.until("probation")
    rollout = await feedback.until("rolled back")
    assert "accuracy" in rollout.reason


@pytest.mark.parametrize(
    ("guardrail", "label", "predicted"),
    [
        ({"metric": "score", "maxDecrease": "10%"}, lambda right: {"score": 0.9 if right else 0.2}, None),
        (
            {"metric": "recall", "label": "cat", "maxDecrease": "10%"},
            lambda right: {"label": "cat"},
            lambda right: {"label": "cat" if right else "dog"},
        ),
    ],
)
async def test_by_a_score_or_by_one_class(serving, packages, guardrail, label, predicted):
    await serving.apply(packages[1], rules({**guardrail, "required": True}))
    feedback = Feedback(serving, {OLD: 0.95, NEW: 0.3}, label=label, predicted=predicted or (lambda _: {}))
    rollout = await feedback.until("rolled back")
    assert guardrail["metric"] in rollout.reason


async def test_by_one_tenant_that_is_hurt(serving, packages):
    by_tenant = {"metric": "accuracy", "maxDecrease": "10%", "segment": "tenant"}
    judge = rules({**ACCURACY, "maxDecrease": "50%", "required": True}, by_tenant)
    judge["judge"]["segments"] = [{"name": "tenant", "header": "x-tenant"}]
    await serving.apply(packages[1], judge)
    feedback = Feedback(serving, {OLD: 0.95, NEW: 0.95}, hurt="acme")
    rollout = await feedback.until("rolled back")
    assert "tenant=acme" in rollout.reason


async def test_nothing_while_they_come_later_for_one_arm(serving, packages):
    """What comes early may be the easy ones."""
    await serving.apply(packages[1], rules({**ACCURACY, "required": True}))
    feedback = Feedback(serving, {OLD: 0.95, NEW: 0.95}, delay={OLD: 2, NEW: 35}, rate=60)
    for _ in range(100):
        await feedback.once()
    feedback.right[NEW] = 0.2
    for _ in range(60):
        await feedback.once()
    rollout = serving.platform.book.service("m").rollout
    assert rollout.phase is Phase.CANARY


async def test_the_same_after_a_controller_was_killed(serving, packages):
    await serving.apply(packages[1], rules({**ACCURACY, "required": True}))
    feedback = Feedback(serving, {OLD: 0.95, NEW: 0.95})
    for _ in range(12):
        await feedback.once()
    seen = serving.platform.book.service("m").rollout.cursor["labels"]
    await serving.restart()
    assert serving.platform.book.service("m").rollout.cursor["labels"] == seen
    feedback.right[NEW] = 0.5
    await feedback.until("rolled back")


async def test_only_once_their_window_is_over_and_nobody_writes_in_it(serving):
    desk = serving.platform.labels
    serving.clock = 100 * WINDOW + 1
    assert desk.window() == 100
    async with desk._transaction():
        serving.clock += WINDOW
        assert desk.window() == 100
    assert desk.window() == 101
    serving.clock -= 5 * WINDOW
    async with desk._transaction() as now:
        assert now // WINDOW >= 100  # a clock that was set back


async def test_not_about_labels_that_waited_too_long(serving):
    desk = serving.platform.labels
    await desk.take("m", [Label("r1", {"correct": True})])
    serving.clock += PATIENCE + 1
    await desk.prune()
    assert (await desk.sums("m")).states == {}
