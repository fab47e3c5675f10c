"""Labels of shadow pairs: what the candidate answered to a copy, beside what a client got from stable.

A pair is counted in the transaction that brings the last of its three parts: the client's answer, the copy's,
the label. So it is counted once, whichever came last.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, select

from modelserve.domain.labels import WINDOW, Losses, Prediction, ShadowPrediction, grade, tells_truth
from modelserve.domain.rollouts import LabelledPairs
from modelserve.stores.records.label_rows import accepted, found_predictions, require_service
from modelserve.stores.records.registry import SqlRegistry
from modelserve.stores.records.schema import label_pairs, shadow_predictions

_SUMS = ("both_right", "stable_right", "candidate_right", "both_wrong")
_MINE = ("service", "window", "revision", "metric")

Joined = tuple[Prediction, Mapping[str, Any]]
"""A client's answer and the value of its label."""


class SqlLabelledPairs(SqlRegistry):
    """The part of the port that labels of shadow pairs are."""

    def add_shadow_predictions(self, service: str, made: Sequence[ShadowPrediction], now: float) -> None:
        with self._writing(f"shadow predictions of {service!r}") as connection:
            require_service(connection, service)
            ids = [each.request_id for each in made]
            here = {(each.request_id, each.revision) for each in _copies(connection, service, ids)}
            told = {(each.request_id, each.revision): each for each in reversed(made)}
            fresh = [each for key, each in told.items() if key not in here]
            if not fresh:
                return
            connection.execute(shadow_predictions.insert(), [_row(service, each) for each in fresh])
            labels, found = accepted(connection, service, ids), found_predictions(connection, service, ids)
            joined = [(made, labels[id]) for id, (made, twice) in found.items() if id in labels and not twice]
            self._add_pairs(connection, service, joined, fresh, now)

    def next_labelled_pairs(
        self, service: str, revision: str, after: int, before: int
    ) -> tuple[int, dict[str, LabelledPairs]] | None:
        here = label_pairs.c
        mine = (here.service == service) & (here.revision == revision)
        ahead = select(here.window).where(mine, here.window > after, here.window < before)
        with self._reading() as connection:
            row = connection.execute(ahead.order_by(here.window).limit(1)).first()
            if row is None:
                return None
            sums = select(here.metric, *(here[name] for name in _SUMS)).where(mine, here.window == row[0])
            counted = connection.execute(sums.order_by(here.metric))
            return row[0], {metric: LabelledPairs(*found) for metric, *found in counted}

    def _pair(self, connection: Connection, service: str, joined: Sequence[Joined], now: float) -> None:
        """Count what was joined just now with the copies that are here."""
        copies = _copies(connection, service, [made.request_id for made, _ in joined])
        self._add_pairs(connection, service, joined, copies, now)

    def _add_pairs(
        self,
        connection: Connection,
        service: str,
        joined: Iterable[Joined],
        copies: Sequence[ShadowPrediction],
        now: float,
    ) -> None:
        sums: dict[tuple[Any, ...], LabelledPairs] = defaultdict(LabelledPairs)
        for revision, metric, pair in _graded(joined, copies):
            key = (service, int(now // WINDOW), revision, metric)
            sums[key] = sums[key].add(pair)
        if not sums:
            return
        insert = self._dialect.insert(label_pairs)
        grown = {name: label_pairs.c[name] + insert.excluded[name] for name in _SUMS}
        rows = [
            dict(zip(_MINE, key, strict=True)) | {name: getattr(pair, name) for name in _SUMS}
            for key, pair in sums.items()
        ]
        connection.execute(insert.on_conflict_do_update(index_elements=_MINE, set_=grown), rows)


def _graded(
    joined: Iterable[Joined], copies: Sequence[ShadowPrediction]
) -> Iterable[tuple[str, str, LabelledPairs]]:
    """(the copy's revision, metric, the pair) of whatever one label says something about both."""
    answered = {made.request_id: (made, value) for made, value in joined if tells_truth(value)}
    for copy in copies:
        made, value = answered.get(copy.request_id, (None, {}))
        if made is not None and made.arm == "stable" and made.revision != copy.revision:
            yield from _pairs(copy.revision, grade(made.predicted, value), grade(copy.predicted, value))


def _pairs(
    revision: str, stable: Losses | str, candidate: Losses | str
) -> Iterable[tuple[str, str, LabelledPairs]]:
    if isinstance(stable, str) or isinstance(candidate, str):
        return
    for metric in stable:
        yield revision, metric, LabelledPairs.of(stable[metric], candidate[metric])


def _copies(connection: Connection, service: str, ids: Sequence[str]) -> list[ShadowPrediction]:
    here = shadow_predictions.c
    query = select(here.request_id, here.revision, here.at, here.predicted)
    mine = (here.service == service) & here.request_id.in_(ids)
    return [ShadowPrediction(*row) for row in connection.execute(query.where(mine))]


def _row(service: str, made: ShadowPrediction) -> dict[str, Any]:
    return {
        "service": service,
        "request_id": made.request_id,
        "revision": made.revision,
        "at": made.at,
        "predicted": dict(made.predicted),
    }
