"""The rows of experiments: their state, who took part, and what became of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, delete, func, or_, select, tuple_

from modelserve.domain.experiments import ExperimentState
from modelserve.domain.participants import Census, Exposure, Outcome
from modelserve.errors import NotFound
from modelserve.stores.records import codec
from modelserve.stores.records.engine import SqlStore
from modelserve.stores.records.schema import experiment_outcomes, experiments, services
from modelserve.stores.records.schema import exposures as _exposures

_AT_ONCE = 500
"""Values in one condition; every database takes as many."""
_EXPOSURE = tuple(_exposures.c[name] for name in ("key", "arm", "at", "request", "weights"))


class SqlExperiments(SqlStore):
    """The part of the port that experiments are."""

    def save_experiment(self, experiment: ExperimentState) -> None:
        document = codec.to_json(experiment)
        insert = self._dialect.insert(experiments).values(
            name=experiment.name, service=experiment.service, document=document
        )
        with self._writing(f"experiment {experiment.name!r}") as connection:
            mine = select(services.c.name).where(services.c.name == experiment.service)
            if connection.execute(mine).first() is None:
                raise NotFound(f"there is no service {experiment.service!r} in the records")
            connection.execute(
                insert.on_conflict_do_update(index_elements=["name"], set_={"document": document})
            )

    def experiments(self) -> tuple[ExperimentState, ...]:
        rows = self._all(select(experiments.c.document).order_by(experiments.c.name))
        return tuple(codec.from_json(codec.EXPERIMENT, row[0]) for row in rows)

    def delete_experiment(self, name: str) -> None:
        with self._writing(f"experiment {name!r}") as connection:
            connection.execute(delete(experiments).where(experiments.c.name == name))

    def add_exposures(self, experiment: str, exposures: Sequence[Exposure]) -> None:
        insert = self._dialect.insert(_exposures)
        met_another = or_(_exposures.c.crossed, _exposures.c.arm != insert.excluded.arm)
        upsert = insert.on_conflict_do_update(
            index_elements=["experiment", "key"], set_={"crossed": met_another}
        )
        rows = [
            {
                "experiment": experiment,
                "key": exposure.key,
                "arm": exposure.arm,
                "at": exposure.at,
                "request": exposure.request,
                "weights": exposure.weights,
                "crossed": False,
            }
            for exposure in exposures
        ]
        if rows:
            with self._writing(f"exposures of {experiment!r}") as connection:
                _require(connection, experiment)
                connection.execute(upsert, rows)

    def exposures(
        self, experiment: str, *, keys: Iterable[str] = (), requests: Iterable[str] = ()
    ) -> tuple[Exposure, ...]:
        found: dict[str, Exposure] = {}
        with self._reading() as connection:
            for column, wanted in ((_exposures.c.key, keys), (_exposures.c.request, requests)):
                for part in _parts(list(wanted)):
                    mine = (_exposures.c.experiment == experiment) & column.in_(part)
                    rows = connection.execute(select(*_EXPOSURE).where(mine))
                    found |= {row.key: Exposure(*row) for row in rows}
        return tuple(found.values())

    def census(self, experiment: str) -> Census:
        mine = _exposures.c.experiment == experiment
        groups = _exposures.c.weights, _exposures.c.arm
        with self._reading() as connection:
            query = select(*groups, func.count(), func.min(_exposures.c.at)).where(mine).group_by(*groups)
            rows = list(connection.execute(query))
            crossed = connection.execute(select(func.count()).where(mine & _exposures.c.crossed))
            return Census(_in_order(rows), int(crossed.scalar_one()))

    def add_outcomes(self, experiment: str, outcomes: Sequence[Outcome]) -> tuple[float | None, ...]:
        with self._writing(f"outcomes of {experiment!r}") as connection:
            _require(connection, experiment, alone=True)  # so that sequences are committed in order
            known = self._values(connection, experiment, {outcome.key for outcome in outcomes})
            said: list[float | None] = []
            rows = []
            for outcome in outcomes:
                there = known.setdefault((outcome.key, outcome.metric), None)
                said.append(there)
                if there is None:
                    known[outcome.key, outcome.metric] = outcome.value
                    rows.append(_row(experiment, outcome))
            if rows:
                connection.execute(experiment_outcomes.insert(), rows)
        return tuple(said)

    def outcomes(
        self, experiment: str, metric: str, after: int, limit: int
    ) -> tuple[tuple[int, str, float], ...]:
        told = experiment_outcomes.c
        query = (
            select(told.sequence, _exposures.c.arm, told.value)
            .join(_exposures, (_exposures.c.experiment == told.experiment) & (_exposures.c.key == told.key))
            .where((told.experiment == experiment) & (told.metric == metric) & (told.sequence > after))
            .order_by(told.sequence)
            .limit(limit)
        )
        return tuple((number, arm, value) for number, arm, value in self._all(query))

    def matured(
        self, experiment: str, metric: str, after: tuple[float, str], until: float, limit: int
    ) -> tuple[tuple[tuple[float, str], str, float | None], ...]:
        met, told = _exposures.c, experiment_outcomes.c
        same = (told.experiment == met.experiment) & (told.key == met.key) & (told.metric == metric)
        query = (
            select(met.at, met.key, met.arm, told.value)
            .join(experiment_outcomes, same, isouter=True)
            .where((met.experiment == experiment) & (tuple_(met.at, met.key) > after) & (met.at <= until))
            .order_by(met.at, met.key)
            .limit(limit)
        )
        return tuple(((at, key), arm, value) for at, key, arm, value in self._all(query))

    def _values(
        self, connection: Connection, experiment: str, keys: Iterable[str]
    ) -> dict[tuple[str, str], float | None]:
        told = experiment_outcomes.c
        found: dict[tuple[str, str], float | None] = {}
        for part in _parts(sorted(keys)):
            mine = (told.experiment == experiment) & told.key.in_(part)
            rows = connection.execute(select(told.key, told.metric, told.value).where(mine))
            found |= {(key, metric): value for key, metric, value in rows}
        return found


def _require(connection: Connection, experiment: str, *, alone: bool = False) -> None:
    """Keep the experiment from being deleted until this transaction ends, and, if ``alone``, other such
    transactions from beginning. Raises NotFound."""
    mine = select(experiments.c.name).where(experiments.c.name == experiment)
    if connection.execute(mine.with_for_update(read=not alone, key_share=True)).first() is None:
        raise NotFound(f"there is no experiment {experiment!r} in the records")


def _in_order(rows: Sequence[Any]) -> tuple[tuple[str, str, int], ...]:
    """(weights, arm, number, first time): by when the weights were first seen, then by arm."""
    since: dict[str, float] = {}
    for weights, _, _, at in rows:
        since[weights] = min(at, since.get(weights, at))
    found = sorted(rows, key=lambda row: (since[row[0]], row[0], row[1]))
    return tuple((weights, arm, number) for weights, arm, number, _ in found)


def _row(experiment: str, outcome: Outcome) -> dict[str, Any]:
    return {
        "experiment": experiment,
        "key": outcome.key,
        "metric": outcome.metric,
        "value": outcome.value,
        "at": outcome.at,
    }


def _parts(values: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(values), _AT_ONCE):
        yield values[start : start + _AT_ONCE]
