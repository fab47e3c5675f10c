"""Give the judge every recorded look again, and compare what it says with what was recorded.

The first look is judged from nothing, every later one from the evidence that the looks before it gave. Where
looks are missing it goes on from the next one that was stored with its ground.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from modelserve.audit import compare
from modelserve.audit.record import Difference, Record, Step
from modelserve.domain.rollouts import Transition, Verdict
from modelserve.errors import InvalidInput
from modelserve.judge import Evidence, Stage, judge, start
from modelserve.rollout.looks import Ground, Look, decode, from_json


class Rejudging:
    """One pass over a record; afterwards ``evidence`` is what all of its looks give, None if unknown."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self.evidence: Evidence | None = None
        self.last: Verdict | None = None
        self.unreadable: list[Difference] = []
        """Looks, also those of transitions, that can't be read."""
        self._found: list[tuple[str, str]] = []

    def steps(self) -> Iterator[Step]:
        """Every look that is there, in order."""
        led = self._transitions_by_look()
        for number in range(self.record.rollout.looks):
            self._found = []
            look = self._look(number, led.get(number))
            if look is None:
                self.evidence = self.last = None
                self.unreadable += self._differences(number)
                continue
            verdict = self._judge(look)
            if verdict is not None:
                self._compare(look, led.get(number), verdict)
            self.last = verdict
            yield Step(number, look, verdict, led.get(number), self._differences(number))

    def _differences(self, number: int) -> tuple[Difference, ...]:
        return tuple(Difference(number, what, f"look {number}: {words}") for what, words in self._found)

    def _look(self, number: int, led: Transition | None) -> Look | None:
        """The look, from its line or else from the transition that it led to; checks the one with the other,
        and settles from which evidence it is judged."""
        kept = from_json(led.look) if led else None
        look = self._read(number) or kept
        if look is None:
            return None
        if kept is not None and replace(kept, ground=None) != replace(look, ground=None):
            self._found.append(("look", "what was seen is not what its transition says"))
        if number == 0:
            self.evidence = start(self.record.spec)
        for ground in (look.ground, kept.ground if kept else None):
            if ground is not None:
                self._stand_on(ground)
        return look

    def _read(self, number: int) -> Look | None:
        line = self.record.lines.get(number)
        if line is None:
            return None
        try:
            look = decode(line)
        except InvalidInput as error:
            self._found.append(("look", error.message))
            return None
        if look.number != number:
            self._found.append(("look", f"its line says that it is look {look.number}"))
        return look

    def _stand_on(self, ground: Ground) -> None:
        """Begin from the stored evidence where none is known, else see whether it is the same."""
        if ground.policy != self.record.policy:
            self._found.append(("rules", "it was judged by other rules than the revision's spec has"))
        if not ground.evidence:
            return
        try:
            stored = Evidence.load(ground.evidence)
        except InvalidInput as error:
            self._found.append(("evidence", error.message))
            return
        if self.evidence is not None and (other := compare.evidence(stored, self.evidence)):
            self._found.append(
                ("evidence", f"the evidence before it is not what earlier looks give: {other}")
            )
        self.evidence = stored

    def _judge(self, look: Look) -> Verdict | None:
        if self.evidence is None:
            return None
        try:
            stage = Stage(**look.stage)
            evidence, verdict = judge(self.record.spec, self.evidence, look.observation, stage)
            self.evidence = Evidence.load(evidence.dump())  # as the records would: integers become floats
        except (InvalidInput, ArithmeticError, LookupError, TypeError, ValueError) as error:
            self._found.append(("look", f"this judge can't judge it: {error}"))
            self.evidence = None
            return None
        return verdict

    def _compare(self, look: Look, led: Transition | None, verdict: Verdict) -> None:
        there = compare.verdict_of_look(look, verdict)
        if led is not None and led.verdict is not None:
            there = compare.verdict_of_transition(led.verdict, verdict) or there
        if there is not None:
            self._found.append(there)

    def _transitions_by_look(self) -> dict[int, Transition]:
        found = {}
        for transition in self.record.transitions:
            try:
                if transition.look:
                    found[from_json(transition.look).number] = transition
            except InvalidInput as error:
                words = f"the look of the change to {transition.after}: {error.message}"
                self.unreadable.append(Difference(self.record.rollout.looks, "look", words))
        return found
