"""Observer: late labels, joined with the predictions that they are about.

Each look takes the next cell (see ``domain.labels.Cell``): labels that came in one window of time, for
predictions that were made in one block of time under one weight. In a cell both arms' predictions had the
same time to get a label in, and the same split, so their shares may be compared; cells are never mixed, for
the mixture would compare the candidate's predictions of one time with stable's of another.

Where the candidate gets copies, labels also tell which of the two answers to one request was right. Such
pairs need no cells: both answers are to the same input, and share its label. They count whenever their labels
come, in the canary, too.

A cell is looked at once its window is over. It stands in the records before that, and the cursor says which
was the last: so none counts twice, and none is lost with a controller.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from modelserve.domain.guardrails import Guardrail
from modelserve.domain.labels import WINDOW, Cell, CellCount
from modelserve.domain.rollouts import LabelledPairs, Outcome, Trials
from modelserve.errors import Unavailable
from modelserve.observers.base import Cursor, Sighting, Subject
from modelserve.statistics.arrivals import LIMIT, Share, deviation

Shares = Mapping[str, Sequence[float]]
"""By level of age, the fields of a :class:`Share`."""


class Cells(Protocol):
    """Where labels are counted."""

    def window(self) -> int:
        """The window that labels come into now."""

    async def next_cell(self, service: str, after: Cell) -> tuple[Cell, tuple[CellCount, ...]] | None:
        """The first cell after another of a window that is over. Raises Unavailable."""

    async def next_pairs(
        self, service: str, revision: str, after: int
    ) -> tuple[int, Mapping[str, LabelledPairs]] | None:
        """By metric, the pairs of the first window after another that is over. Raises Unavailable."""


class LabelsObserver:
    """Tells nothing of a rollout that no label guards."""

    name = "labels"

    def __init__(self, cells: Cells) -> None:
        self._cells = cells

    async def read(self, subject: Subject, cursor: Cursor) -> tuple[Sighting, Cursor]:
        guards = [guard for guard in subject.guardrails if guard.metric.of_labels]
        if not guards:
            return Sighting(), {}
        if not cursor:
            # The first look only says where to start.
            since = self._cells.window()
            return Sighting(), {"after": [since, -1, 0, 0.0], "since": since, "pairs": since - 1}
        try:
            cell = await self._cells.next_cell(subject.service, Cell(*cursor["after"]))
            pairs = await self._cells.next_pairs(subject.service, subject.candidate, _read_to(cursor))
        except Unavailable as error:
            return Sighting(notes=(f"labels could not be read: {error.message}",)), cursor
        seen, following = (Sighting(), cursor) if cell is None else _told(subject, guards, cursor, *cell)
        if pairs is None:
            return seen, following
        window, found = pairs
        labelled = {guard.key: found[guard.key] for guard in guards if guard.key in found}
        return replace(seen, labelled=labelled), {**following, "pairs": window}


def _read_to(cursor: Cursor) -> int:
    """The last window whose pairs were read; a rollout that began under an older controller read none."""
    window: int = cursor.get("pairs", cursor["since"] - 1)
    return window


def _told(
    subject: Subject,
    guards: Iterable[Guardrail],
    cursor: Cursor,
    cell: Cell,
    counts: Sequence[CellCount],
) -> tuple[Sighting, Cursor]:
    outcomes: dict[str, Outcome] = {}
    ages, notes = {}, []
    for guard in guards:
        mine = outcomes_of(subject, guard, counts)
        shares = cursor.get("ages", {}).get(guard.key, {})
        if cell.began >= cursor["since"] * WINDOW:
            shares = _aged(shares, cell, whole_of(subject, guard, counts))
        ages[guard.key] = shares
        if deviation(Share(*fields) for fields in shares.values()) > LIMIT:
            mine = dict.fromkeys(mine, Outcome())
            notes.append(f"{guard.key}: labels come later in one arm than in the other; they don't count")
        outcomes |= mine
    after = [cell.window, cell.level, cell.block, cell.weight]
    # Before the canary nothing is compared, and in a change of weights nothing can be.
    told = outcomes if cell.weight > 0 else {}
    return Sighting(outcomes=told, notes=tuple(notes)), {**cursor, "after": after, "ages": ages}


def outcomes_of(subject: Subject, guard: Guardrail, counts: Sequence[CellCount]) -> dict[str, Outcome]:
    """By key: of a guardrail with a segment one for each part that has a label in this cell."""
    if guard.segment is None:
        return {guard.key: whole_of(subject, guard, counts)}
    prefix = f"{guard.segment}="
    parts = sorted({count.part for count in counts if count.part.startswith(prefix)})
    found = {f"{guard.key}={part.removeprefix(prefix)}": _of(subject, guard, counts, part) for part in parts}
    return {key: outcome for key, outcome in found.items() if outcome != NOTHING}


def whole_of(subject: Subject, guard: Guardrail, counts: Sequence[CellCount]) -> Outcome:
    return _of(subject, guard, counts, "")


NOTHING = Outcome(Trials(), Trials())


def _of(subject: Subject, guard: Guardrail, counts: Sequence[CellCount], part: str) -> Outcome:
    """Both arms' labels. What one revision answered in the other's place is no fair sample of it."""
    metric = guard.metric.value + (f"({guard.label})" if guard.label is not None else "")
    arms = {(subject.stable, "stable"): Trials(), (subject.candidate, "candidate"): Trials()}
    for count in counts:
        if (count.metric, count.part) == (metric, part) and (count.revision, count.arm) in arms:
            arms[count.revision, count.arm] = Trials(count.n, count.bad)
    return Outcome(*arms.values())


def _aged(shares: Shares, cell: Cell, outcome: Outcome) -> dict[str, list[float]]:
    """The shares of labels by age, with those of one more cell in which there was a split."""
    following = {level: list(fields) for level, fields in shares.items()}
    stable, candidate = outcome.stable or Trials(), outcome.candidate or Trials()
    if 0 < cell.weight < 1:
        before = Share(*following.get(str(cell.level), ()))
        after = before.add(stable.n, candidate.n, cell.weight)
        following[str(cell.level)] = [after.seen, after.expected, after.rest, after.variance]
    return following
