"""The rows of late labels: predictions by request id, labels, and what the joined ones count for.

A label is counted in the transaction that joins it with its prediction, whichever of the two came last: so it
is counted once, or it is not joined.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, delete, func, select, tuple_

from modelserve.domain.labels import (
    Cell,
    CellCount,
    Label,
    LabelAnswer,
    LabelState,
    LabelSums,
    Losses,
    Prediction,
    grade,
)
from modelserve.stores.records.label_rows import (
    found_predictions,
    label_row,
    pairs_of,
    prediction_row,
    require_service,
    set_state,
    values,
    waiting,
)
from modelserve.stores.records.labelled_pairs import SqlLabelledPairs
from modelserve.stores.records.schema import (
    label_cells,
    label_pairs,
    labels,
    predictions,
    services,
    shadow_predictions,
)

CHUNK = 10_000
"""Rows that one statement deletes, so that no other writer waits long."""
_TABLES = (predictions, shadow_predictions, labels, label_cells, label_pairs)
_Some = tuple[Table, ColumnElement[bool]]
"""Rows of a table."""
_CELL = (label_cells.c.window, label_cells.c.level, label_cells.c.block, label_cells.c.weight)
_COUNT = (label_cells.c.revision, label_cells.c.arm, label_cells.c.metric, label_cells.c.part)
_MINE = ("service", *(column.name for column in (*_CELL, *_COUNT)))


@dataclass(frozen=True, slots=True)
class _Joined:
    """A label that was joined with its prediction just now."""

    made: Prediction
    value: Mapping[str, Any]
    losses: Losses


class SqlLabels(SqlLabelledPairs):
    """The part of the port that labels are."""

    def add_predictions(self, service: str, made: Sequence[Prediction], now: float) -> None:
        with self._writing(f"predictions of {service!r}") as connection:
            require_service(connection, service)
            connection.execute(self._upsert_predictions(), [prediction_row(service, each) for each in made])
            early = waiting(connection, service, [each.request_id for each in made])
            found = found_predictions(connection, service, [label.request_id for label in early])
            joined = []
            for label in early:
                answer, losses = _join(found[label.request_id], label)
                set_state(connection, service, label.request_id, answer.state)
                if losses:
                    joined.append(_Joined(found[label.request_id][0], label.value, losses))
            self._count(connection, service, joined, now)

    def add_labels(self, service: str, told: Sequence[Label], now: float, room: int) -> list[LabelAnswer]:
        with self._writing(f"labels of {service!r}") as connection:
            require_service(connection, service)
            ids = list({label.request_id for label in told})
            here, found = values(connection, service, ids), found_predictions(connection, service, ids)
            answers, rows, joined = [], [], []
            for label in told:
                answer, losses = _taken(label, here, found.get(label.request_id), room)
                answers.append(answer)
                waits = answer.state is LabelState.UNKNOWN and room > 0
                if waits or answer.state is LabelState.ACCEPTED:
                    here[label.request_id] = label.value
                    rows.append(label_row(service, label, answer.state, now))
                    room -= waits
                if losses:
                    joined.append(_Joined(found[label.request_id][0], label.value, losses))
            if rows:
                connection.execute(self._upsert_labels(), rows)
            self._count(connection, service, joined, now)
        return answers

    def next_cell(self, service: str, after: Cell, before: int) -> tuple[Cell, tuple[CellCount, ...]] | None:
        """The counts of the first cell after ``after`` whose window is earlier than ``before``."""
        mine = label_cells.c.service == service
        position = tuple_(*_CELL) > tuple_(after.window, after.level, after.block, after.weight)
        ahead = select(*_CELL).where(mine, position, label_cells.c.window < before)
        with self._reading() as connection:
            row = connection.execute(ahead.order_by(*_CELL).limit(1)).first()
            if row is None:
                return None
            cell = Cell(*row)
            this = [column == value for column, value in zip(_CELL, row, strict=True)]
            counted = select(*_COUNT, label_cells.c.n, label_cells.c.bad).where(mine, *this)
            counts = tuple(CellCount(*each) for each in connection.execute(counted.order_by(*_COUNT)))
        return cell, counts

    def waiting_labels(self) -> int:
        query = select(func.count()).select_from(labels).where(labels.c.state == LabelState.UNKNOWN.value)
        return int(self._first(query)[0])

    def label_sums(self, service: str) -> LabelSums:
        stored = select(func.count(), func.min(predictions.c.at), func.max(predictions.c.at))
        states = select(labels.c.state, func.count()).where(labels.c.service == service)
        whole = (label_cells.c.service == service) & (label_cells.c.part == "")
        sums = select(*_COUNT, func.sum(label_cells.c.n), func.sum(label_cells.c.bad)).where(whole)
        with self._reading() as connection:
            number, oldest, newest = connection.execute(stored.where(predictions.c.service == service)).one()
            by_state = dict(pairs_of(connection.execute(states.group_by(labels.c.state))))
            counts = connection.execute(sums.group_by(*_COUNT).order_by(*_COUNT))
            return LabelSums(number, oldest, newest, by_state, tuple(CellCount(*each) for each in counts))

    def prune_labels(self, before: float, waiting_before: float, keep: int, window: int) -> int:
        """Forget what was made or came before a Unix time, labels that waited since before another, all
        predictions but the ``keep`` newest with the labels that came before those, cells of windows before
        one, and what belongs to no service.
        Deletes a part only; returns the rows that went, so that 0 says that nothing is left to do."""
        oldest_kept = select(predictions.c.at).order_by(predictions.c.at.desc()).offset(keep - 1).limit(1)
        last = self._first(oldest_kept)
        cutoff = before if last is None else max(before, last[0])
        waits = labels.c.state == LabelState.UNKNOWN.value
        gone = [
            (predictions, predictions.c.at < cutoff),
            (shadow_predictions, shadow_predictions.c.at < cutoff),
            (labels, labels.c.received < cutoff),
            (labels, waits & (labels.c.received < waiting_before)),
            *self._of_windows(window),
            *self._of_nobody(),
        ]
        return sum(self._delete_some(table, condition) for table, condition in gone)

    def forget_labels(self, service: str) -> int:
        """A part of everything about a service that is gone; returns the rows that went."""
        return sum(self._delete_some(table, _left_by(service, table)) for table in _TABLES)

    def _of_windows(self, before: int) -> Iterator[_Some]:
        for table in (label_cells, label_pairs):
            for service in self._services_in(table):
                yield table, (table.c.service == service) & (table.c.window < before)

    def _of_nobody(self) -> Iterator[_Some]:
        known = {name for (name,) in self._all(select(services.c.name))}
        for table in _TABLES:
            for service in self._services_in(table):
                if service not in known:
                    yield table, _left_by(service, table)

    def _services_in(self, table: Table) -> Iterator[str]:
        """Services that a table has rows of; one step in its index for each."""
        first = select(func.min(table.c.service))
        found = self._first(first)[0]
        while found is not None:
            yield found
            found = self._first(first.where(table.c.service > found))[0]

    def _delete_some(self, table: Table, condition: ColumnElement[bool]) -> int:
        """Takes the right to write only if there is something to delete. Each condition is found by an
        index, so that other writers never wait for a search."""
        keys = list(table.primary_key.columns)
        some = select(*keys).where(condition)
        if self._first(some.limit(1)) is None:
            return 0
        with self._writing(f"what is too old in {table.name}") as connection:
            gone = delete(table).where(tuple_(*keys).in_(some.limit(CHUNK)))
            return int(connection.execute(gone).rowcount)

    def _upsert_predictions(self) -> Any:
        """The first prediction of an id stays; another one of the same id makes it ambiguous."""
        insert = self._dialect.insert(predictions)
        told, here = insert.excluded, predictions.c
        other = (here.at != told.at) | (here.revision != told.revision)
        return insert.on_conflict_do_update(
            index_elements=["service", "request_id"], set_={"ambiguous": 1}, where=other
        )

    def _upsert_labels(self) -> Any:
        insert = self._dialect.insert(labels)
        changed = {name: insert.excluded[name] for name in ("value", "known", "received", "state")}
        return insert.on_conflict_do_update(index_elements=["service", "request_id"], set_=changed)

    def _count(self, connection: Connection, service: str, joined: Sequence[_Joined], now: float) -> None:
        self._pair(connection, service, [(each.made, each.value) for each in joined], now)
        numbers: Counter[tuple[Any, ...]] = Counter()
        losses: dict[tuple[Any, ...], float] = defaultdict(float)
        for each in joined:
            for key, loss in _increments(service, each.made, each.losses, now):
                numbers[key] += 1
                losses[key] += loss
        if numbers:
            insert = self._dialect.insert(label_cells)
            sums = {"n": label_cells.c.n + insert.excluded.n, "bad": label_cells.c.bad + insert.excluded.bad}
            rows = [dict(zip(_MINE, k, strict=True)) | {"n": n, "bad": losses[k]} for k, n in numbers.items()]
            connection.execute(insert.on_conflict_do_update(index_elements=_MINE, set_=sums), rows)


def _left_by(service: str, table: Table) -> ColumnElement[bool]:
    """The rows of a service, unless it is there: it may have been made anew by the time they are deleted."""
    return (table.c.service == service) & table.c.service.not_in(select(services.c.name))


def _increments(
    service: str, made: Prediction, graded: Mapping[str, float], now: float
) -> Iterable[tuple[tuple[Any, ...], float]]:
    cell = Cell.of(made.at, now, made.weight)
    place = (service, cell.window, cell.level, cell.block, cell.weight, made.revision, made.arm)
    for metric, loss in graded.items():
        for part in ("", *(f"{name}={value}" for name, value in made.parts.items())):
            yield (*place, metric, part), loss


def _taken(
    label: Label, here: Mapping[str, Any], found: tuple[Prediction, bool] | None, room: int
) -> tuple[LabelAnswer, Mapping[str, float]]:
    """What becomes of a label, and what it counts for."""
    if (value := here.get(label.request_id)) is not None:
        if value == label.value:
            return LabelAnswer(LabelState.DUPLICATE), {}
        return LabelAnswer(LabelState.CONTRADICTING, f"the label here is {dict(value)}, and stays"), {}
    if found is None:
        if room > 0:
            return LabelAnswer(LabelState.UNKNOWN, "kept for a while in case its prediction comes"), {}
        return LabelAnswer(LabelState.UNKNOWN, "not kept: too many wait for their prediction already"), {}
    return _join(found, label)


def _join(found: tuple[Prediction, bool], label: Label) -> tuple[LabelAnswer, Mapping[str, float]]:
    made, ambiguous = found
    if ambiguous:
        return LabelAnswer(
            LabelState.AMBIGUOUS, "two requests had this id: send each request with its own"
        ), {}
    losses = grade(made.predicted, label.value)
    if isinstance(losses, str):
        return LabelAnswer(LabelState.UNFIT, losses), {}
    return LabelAnswer(LabelState.ACCEPTED), losses
