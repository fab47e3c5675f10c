"""What the labels' part of the store reads and writes row by row, within a transaction of its caller's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, select, update

from modelserve.domain.labels import Label, LabelState, Prediction
from modelserve.errors import NotFound
from modelserve.stores.records.schema import labels, predictions, services

_STANDING = (LabelState.ACCEPTED.value, LabelState.UNKNOWN.value)
"""States of labels that stay against another value; one that said nothing may be sent again, put right."""


def require_service(connection: Connection, name: str) -> None:
    """Raises NotFound."""
    if connection.execute(select(services.c.name).where(services.c.name == name)).first() is None:
        raise NotFound(f"there is no service {name!r} in the records")


def waiting(connection: Connection, service: str, ids: Sequence[str]) -> list[Label]:
    mine = (labels.c.service == service) & (labels.c.state == LabelState.UNKNOWN.value)
    query = select(labels.c.request_id, labels.c.value, labels.c.known)
    return [Label(*row) for row in connection.execute(query.where(mine, labels.c.request_id.in_(ids)))]


def values(connection: Connection, service: str, ids: Sequence[str]) -> dict[str, Any]:
    mine = (labels.c.service == service) & labels.c.state.in_(_STANDING)
    query = select(labels.c.request_id, labels.c.value).where(mine)
    return dict(pairs_of(connection.execute(query.where(labels.c.request_id.in_(ids)))))


def accepted(connection: Connection, service: str, ids: Sequence[str]) -> dict[str, Any]:
    """The values of labels that were joined with their predictions."""
    mine = (labels.c.service == service) & (labels.c.state == LabelState.ACCEPTED.value)
    query = select(labels.c.request_id, labels.c.value).where(mine, labels.c.request_id.in_(ids))
    return dict(pairs_of(connection.execute(query)))


def pairs_of(rows: Iterable[Any]) -> Iterable[tuple[str, Any]]:
    return ((name, value) for name, value in rows)


def found_predictions(
    connection: Connection, service: str, ids: Sequence[str]
) -> dict[str, tuple[Prediction, bool]]:
    here = predictions.c
    columns = (here.request_id, here.revision, here.arm, here.at, here.weight, here.predicted, here.parts)
    query = select(*columns, here.ambiguous).where(here.service == service, here.request_id.in_(ids))
    return {row[0]: (Prediction(*row[:-1]), bool(row[-1])) for row in connection.execute(query)}


def set_state(connection: Connection, service: str, request_id: str, state: LabelState) -> None:
    mine = (labels.c.service == service) & (labels.c.request_id == request_id)
    connection.execute(update(labels).where(mine).values(state=state.value))


def prediction_row(service: str, made: Prediction) -> dict[str, Any]:
    return {
        "service": service,
        "request_id": made.request_id,
        "revision": made.revision,
        "arm": made.arm,
        "at": made.at,
        "weight": made.weight,
        "predicted": dict(made.predicted),
        "parts": dict(made.parts),
        "ambiguous": 0,
    }


def label_row(service: str, label: Label, state: LabelState, now: float) -> dict[str, Any]:
    return {
        "service": service,
        "request_id": label.request_id,
        "value": dict(label.value),
        "known": label.known,
        "received": now,
        "state": state.value,
    }
