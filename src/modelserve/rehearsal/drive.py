"""Take one candidate through its whole journey, decided by what decides in production.

The judge (:mod:`modelserve.decision`) and :func:`modelserve.rollout.advance` are asked as the controller
asks them, with a clock of the rehearsal's own: shadow, holds, the least time of a step and the deadline act
as they do there. What an observer would have told comes from ``Arrivals``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from modelserve.decision import opinion
from modelserve.domain.rollouts import Decision, Observation, Phase, Rollout, Verdict
from modelserve.domain.services import RolloutSpec
from modelserve.judge import start
from modelserve.rehearsal.world import Traffic, World
from modelserve.rollout import MEASURE, advance, begin, candidate_weight

READY = Observation(0.0, candidate_ready=True)
FOR_A_PERSON = ("deadline", "disagreement")
"""Holds that nothing but a person, or evidence of harm, ends."""


class Arrivals(Protocol):
    """What comes in, tick by tick."""

    def tick(self, now: float, weight: float) -> Observation:
        """What was seen in the interval that begins at ``now``, with ``weight`` for the candidate."""

    def expected(self, now: float) -> float:
        """Stable's chance of a failure at ``now``, in 0..1."""


@dataclass(frozen=True)
class Outcome:
    """How a rollout ended: ``promoted``, ``rolled back``, ``held`` or ``undecided``."""

    end: str
    seconds: float
    weight: float
    """The candidate's share when it ended."""
    candidate_requests: int
    extra_failures: float
    """Candidate failures beyond what stable's rate would have given."""
    half: float | None
    """Seconds until the candidate had half of the traffic."""
    metric: str
    """What decided, if one thing did."""
    promoted: float | None = None
    """Seconds until the candidate was promoted, also if probation brought the old version back."""


class Simulated:
    """A :class:`Traffic` that also knows what failures to expect."""

    def __init__(self, world: World, seed: int) -> None:
        self._world, self._traffic = world, Traffic(world, seed)

    def tick(self, now: float, weight: float) -> Observation:
        return self._traffic.tick(now, weight)

    def expected(self, now: float) -> float:
        return self._world.stable(now)


def drive(spec: RolloutSpec, world: World, seed: int, seconds: float = 3600.0) -> Outcome:
    """One simulated rollout without a shadow stage, up to the decision to give the candidate everything."""
    spec = spec.model_copy(update={"shadow": None})
    return Journey(spec, Simulated(world, seed), world.tick, rate=world.rate).run(seconds)


class Journey:
    """A rollout on its way.

    With ``blind`` the interval after a change of weight is nobody's evidence, as in production, where
    counters have to be read twice. ``rate`` is what stable was seen to get, in requests per second, while the
    candidate loaded. With ``probation`` it goes on after the promotion, until that is over.
    """

    def __init__(
        self,
        spec: RolloutSpec,
        arrivals: Arrivals,
        tick: float,
        *,
        blind: bool = False,
        probation: bool = False,
        rate: float = 0.0,
    ) -> None:
        self._spec, self._arrivals, self._tick = spec, arrivals, tick
        self._blind, self._probation = blind, probation
        self._evidence = start(spec)
        self._rollout = _loaded(spec, rate)
        self._verdict = Verdict(Decision.CONTINUE, ())
        self._now, self._moved = 0.0, blind
        self._requests, self._extra = 0, 0.0
        self._half: float | None = None
        self._promoted: float | None = None
        self._weight = candidate_weight(spec, self._rollout)

    def run(self, seconds: float) -> Outcome:
        """Until it is decided, or a person would have to, or ``seconds`` have passed."""
        while self._now < seconds and not (end := self._end()):
            self._look()
        return self._outcome(end or self._end() or self._unfinished())

    def _look(self) -> None:
        self._weight = candidate_weight(self._spec, self._rollout)
        if self._half is None and self._weight >= 0.5:
            self._half = self._now
        happened = self._arrivals.tick(self._now, self._weight)
        self._count(happened)
        if self._rollout.step < 0 and happened.stable is not None:
            self._rollout = _add_up(self._rollout, happened.stable.requests)
        self._now += self._tick
        seen = Observation(0.0, self._weight) if self._moved else happened
        self._evidence, self._verdict = opinion(self._spec, self._rollout, self._evidence, seen, self._now)
        self._rollout, transition = advance(self._spec, self._rollout, seen, self._verdict, self._now)
        self._moved = self._blind and transition is not None
        if self._promoted is None and self._rollout.phase is Phase.PROBATION:
            self._promoted = self._now

    def _count(self, happened: Observation) -> None:
        if happened.candidate is not None and self._weight > 0:
            requests, failures = happened.candidate.requests, happened.candidate.failures
            self._requests += requests
            self._extra += failures - requests * self._arrivals.expected(self._now)

    def _end(self) -> str:
        """How it ended; empty while it goes on."""
        if self._rollout.phase is Phase.ROLLED_BACK:
            return "rolled back"
        if self._rollout.phase is Phase.STABLE or (self._promoted is not None and not self._probation):
            return "promoted"
        waits = self._rollout.phase is Phase.HELD and self._verdict.metric in FOR_A_PERSON
        return "held" if waits else ""

    def _unfinished(self) -> str:
        if self._promoted is not None:
            return "promoted"
        return "held" if self._rollout.phase is Phase.HELD else "undecided"

    def _outcome(self, end: str) -> Outcome:
        return Outcome(
            end,
            self._now,
            self._weight,
            self._requests,
            self._extra,
            self._half,
            self._verdict.metric,
            self._promoted,
        )


def _add_up(rollout: Rollout, requests: int) -> Rollout:
    """Stable's requests before the canary: its first weight goes by them."""
    return replace(rollout, totals={"stable_requests": rollout.totals["stable_requests"] + requests})


def _loaded(spec: RolloutSpec, rate: float) -> Rollout:
    """A rollout whose candidate became ready at time 0, after a while in which stable's traffic was seen."""
    waiting = begin(id="rehearsal", service="rehearsal", stable="stable", candidate="candidate", now=-MEASURE)
    waiting = replace(waiting, totals={"stable_requests": round(rate * MEASURE)})
    loaded = advance(spec, waiting, READY, Verdict(Decision.CONTINUE, ("loading",)), 0.0)[0]
    return replace(loaded, started=0.0, totals={"stable_requests": 0})
