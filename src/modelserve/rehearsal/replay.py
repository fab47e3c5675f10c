"""Judge what was recorded anew, under rules of today.

*Looks.* Each is judged where it stood, with the weights that the traffic really had; the rules may be others.
*Requests.* Both versions answered each of them. First the pairs of answers, as in the shadow stage, then
failures and latencies, as on a last canary step with half of the traffic.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from modelserve.domain.latency import BOUNDS, BUCKETS
from modelserve.domain.rollouts import ArmCounts, Decision, Observation, PairCounts, Verdict
from modelserve.domain.services import Compare, RolloutSpec
from modelserve.errors import InvalidInput
from modelserve.judge import Evidence, Stage, judge, start
from modelserve.judge.comparison import compare
from modelserve.rehearsal.asking import Exchange, Reply
from modelserve.rollout.looks import Look

CHUNK = 20
"""Recorded requests that are judged together."""
PROMOTED, ROLLED_BACK, HELD, UNDECIDED = "promoted", "rolled back", "held", "undecided"


@dataclass(frozen=True, slots=True)
class Moment:
    """One look, judged."""

    at: float
    """Seconds since the first."""
    stage: Stage
    verdict: Verdict
    recorded: Decision | None = None
    """What was decided then."""


@dataclass(frozen=True, slots=True)
class Replay:
    """How it would have ended: ``promoted``, ``rolled back``, ``held`` or ``undecided``."""

    end: str
    moments: tuple[Moment, ...]
    """Those at which the decision or the stage changed, and the last."""
    looks: int

    @property
    def last(self) -> Moment:
        return self.moments[-1]

    def as_json(self) -> dict[str, Any]:
        last = self.last.verdict
        return {
            "end": self.end,
            "reasons": list(last.reasons),
            "metric": last.metric,
            "looks": self.looks,
            "readings": [asdict(reading) for reading in last.readings],
            "moments": [_moment(moment) for moment in self.moments],
        }


def _moment(moment: Moment) -> dict[str, Any]:
    return {
        "seconds": moment.at,
        "stage": moment.stage.kind,
        "weight": moment.stage.weight,
        "recorded": moment.recorded,
        "decision": moment.verdict.decision,
        "reasons": list(moment.verdict.reasons),
    }


def replay_looks(spec: RolloutSpec, looks: Sequence[Look]) -> Replay:
    """``looks`` in the order of time, at least one. Raises InvalidInput for a stage that is none."""
    case = _Case(spec)
    end = UNDECIDED
    for look in looks:
        stage = _stage(look)
        verdict = case.judge(look.observation, stage, look.at - looks[0].at, look.decision)
        if verdict.decision is Decision.ROLL_BACK:
            return case.over(ROLLED_BACK)
        if stage.kind == "probation" or (verdict.decision is Decision.PROMOTE and stage.final):
            end = PROMOTED
        elif end != PROMOTED:
            end = HELD if verdict.decision is Decision.HOLD else UNDECIDED
    return case.over(end)


def _stage(look: Look) -> Stage:
    known = {field.name for field in fields(Stage)}
    try:
        stage = Stage(**{name: value for name, value in look.stage.items() if name in known})
    except TypeError as error:
        raise InvalidInput(f"stage: {error}") from None
    numbers = (stage.weight, stage.next_weight, stage.elapsed_in_stage, stage.elapsed)
    if stage.kind not in ("shadow", "canary", "probation"):
        raise InvalidInput(f"stage.kind: got {stage.kind!r}; write shadow, canary or probation")
    if not all(isinstance(number, int | float) for number in numbers):
        raise InvalidInput("stage: weights and times are numbers")
    return stage


def replay_requests(spec: RolloutSpec, exchanges: Iterable[Exchange]) -> Replay:
    """Both versions were warm: the time that the rules leave them for it does not count here."""
    spec = _rules(spec)
    case, chunks = _Case(spec), _chunks(exchanges)
    at = 0.0
    verdict = Verdict(Decision.PROMOTE, ("no shadow stage is asked for",))
    for chunk in chunks if spec.shadow else []:
        at += chunk.seconds
        verdict = case.judge(chunk.pairs(spec), Stage("shadow", 0.0, 0.5, at, at), at)
        if verdict.decision is Decision.ROLL_BACK:
            return case.over(ROLLED_BACK)
    if verdict.decision is not Decision.PROMOTE:
        return case.over(HELD if verdict.metric else UNDECIDED)
    for chunk in chunks:
        at += chunk.seconds
        stage = Stage("canary", 0.5, 1.0, max(at, spec.canary.min_step), at)
        verdict = case.judge(chunk.counts(), stage, at)
        if verdict.decision is Decision.ROLL_BACK:
            return case.over(ROLLED_BACK)
    promoted = verdict.decision is Decision.PROMOTE
    return case.over(PROMOTED if promoted else HELD if verdict.decision is Decision.HOLD else UNDECIDED)


def unfit(reason: str) -> Replay:
    """The candidate could not even be started."""
    verdict = Verdict(Decision.ROLL_BACK, (reason,), metric="hard_failure")
    return Replay(ROLLED_BACK, (Moment(0.0, Stage("shadow"), verdict),), 0)


def _rules(spec: RolloutSpec) -> RolloutSpec:
    judged = spec.judge.model_copy(update={"warm_up": 0.0})
    canary = spec.canary.model_copy(update={"bake": None})
    return spec.model_copy(update={"judge": judged, "canary": canary})


class _Case:
    """The judge's evidence on its way, and the moments worth telling."""

    def __init__(self, spec: RolloutSpec) -> None:
        self._spec = spec
        self._evidence: Evidence = start(spec)
        self._moments: list[Moment] = []
        self._latest: Moment | None = None
        self._looks = 0

    def judge(self, seen: Observation, stage: Stage, at: float, recorded: Decision | None = None) -> Verdict:
        self._evidence, verdict = judge(self._spec, self._evidence, seen, stage)
        self._looks += 1
        moment = Moment(at, stage, verdict, recorded)
        if self._latest is None or _news(self._latest, moment):
            self._moments.append(moment)
        self._latest = moment
        return verdict

    def over(self, end: str) -> Replay:
        if self._latest is None:
            raise InvalidInput("there is nothing to judge")
        last = () if self._moments[-1] is self._latest else (self._latest,)
        return Replay(end, (*self._moments, *last), self._looks)


def _news(before: Moment, now: Moment) -> bool:
    return (before.verdict.decision, before.stage.name) != (now.verdict.decision, now.stage.name)


@dataclass(frozen=True, slots=True)
class _Chunk:
    exchanges: tuple[Exchange, ...]

    @property
    def seconds(self) -> float:
        return sum(each.stable.seconds + each.candidate.seconds for each in self.exchanges)

    def pairs(self, spec: RolloutSpec) -> Observation:
        """Answers alone: failures and latencies count later, and must not count twice."""
        rules = spec.shadow.compare if spec.shadow else Compare()
        both = [e for e in self.exchanges if e.stable.answer is not None]
        differ = [not compare(e.stable.answer, e.candidate.answer, rules).is_none for e in both]
        failed = sum(e.candidate.answer is None for e in both)
        return Observation(
            self.seconds, pairs=PairCounts(len(both), sum(differ), failed), hard_failure=self._death()
        )

    def counts(self) -> Observation:
        return Observation(
            self.seconds,
            candidate_weight=0.5,
            stable=_arm([e.stable for e in self.exchanges]),
            candidate=_arm([e.candidate for e in self.exchanges]),
            hard_failure=self._death(),
        )

    def _death(self) -> str:
        return self.exchanges[-1].death


def _chunks(exchanges: Iterable[Exchange]) -> list[_Chunk]:
    all_ = list(exchanges)
    return [_Chunk(tuple(all_[first : first + CHUNK])) for first in range(0, len(all_), CHUNK)]


def _arm(replies: Sequence[Reply]) -> ArmCounts:
    seconds = [reply.seconds for reply in replies if not reply.failed]
    buckets = np.bincount(np.searchsorted(BOUNDS, seconds), minlength=BUCKETS)
    return ArmCounts(
        len(replies), sum(reply.failed for reply in replies), tuple(int(count) for count in buckets)
    )
