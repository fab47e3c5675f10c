"""What of a rollout's looks is kept, what is missing, and which judges decided."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from modelserve.audit.record import Difference, Record, Step
from modelserve.errors import InvalidInput
from modelserve.rollout.looks import GROUND_EVERY, Ground, from_json


def gaps(record: Record) -> list[Difference]:
    """Looks that are missing. Old ones go in whole blocks; any other was taken away."""
    if not record.lines:
        return []
    begin = min(record.lines) // GROUND_EVERY * GROUND_EVERY
    missing = [number for number in range(begin, record.rollout.looks) if number not in record.lines]
    return [
        Difference(low, "missing", f"{_span(low, high)} missing from the records")
        for low, high in _runs(missing)
    ]


def _runs(numbers: Iterable[int]) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return runs


def _span(low: int, high: int) -> str:
    return f"look {low} is" if low == high else f"looks {low} to {high} are"


def not_judged(record: Record, judged: int) -> list[str]:
    """What could not be judged again because it is no longer kept, which is no fault."""
    if not record.rollout.looks:
        return []
    if not record.lines:
        return [f"no looks are kept: only the {judged} that changed the state were judged, each by itself"]
    if first := min(record.lines):
        return [
            f"looks 0 to {first - 1} are no longer kept: judged from look {first} on, from the evidence "
            "that was stored before it; of earlier ones only those that changed the state"
        ]
    return []


class Judges:
    """Which judges decided, as far as it is recorded."""

    def __init__(self, record: Record) -> None:
        self._now = record.judge
        self._then: dict[tuple[tuple[str, str], ...], Mapping[str, str]] = {}

    def add(self, step: Step) -> None:
        for ground in _grounds(step):
            self._then.setdefault(tuple(sorted(ground.judge.items())), ground.judge)

    def notes(self) -> list[str]:
        """One sentence for each that is not the one who judges now."""
        return [words for then in self._then.values() if (words := _other(then, self._now))]


def _grounds(step: Step) -> Iterator[Ground]:
    if step.look.ground is not None:
        yield step.look.ground
    if step.transition is None:
        return
    try:
        ground = from_json(step.transition.look).ground
    except InvalidInput:
        return
    if ground is not None:
        yield ground


def _other(then: Mapping[str, str], now: Mapping[str, str]) -> str:
    """Empty if both judges are the same."""
    if then.get("evidence") != now.get("evidence"):
        return (
            f"part of it was decided by ModelServe {then.get('modelserve')}, whose evidence has version "
            f"{then.get('evidence')}: this judge's has version {now.get('evidence')}, and can't go on from it"
        )
    if then.get("code") != now.get("code"):
        return (
            f"part of it was decided by another judge: code {then.get('code')} of ModelServe "
            f"{then.get('modelserve')}; this is code {now.get('code')} of ModelServe {now.get('modelserve')}"
        )
    if then.get("machine") != now.get("machine"):
        return (
            f"part of it was decided on another kind of machine, whose last digits may differ: "
            f"{then.get('machine')}; this is {now.get('machine')}"
        )
    return ""
