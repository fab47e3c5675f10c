"""The records store on any SQL database: the one implementation of the port."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import delete, select, update

from modelserve.domain.rollouts import Revision, Rollout, Transition
from modelserve.errors import Conflict
from modelserve.stores.records import codec
from modelserve.stores.records.experiments import SqlExperiments
from modelserve.stores.records.label_rows import require_service
from modelserve.stores.records.labels import SqlLabels
from modelserve.stores.records.looks import SqlLooks
from modelserve.stores.records.schema import revisions, rollouts, services, transitions


class SqlRecords(SqlLooks, SqlLabels, SqlExperiments):
    """Records on an SQLAlchemy engine; safe to call from many threads at once."""

    def put_service(self, name: str, spec: Mapping[str, Any], stable: str | None) -> None:
        values = {"spec": codec.escape(spec), "stable": stable}
        insert = self._dialect.insert(services).values(name=name, **values)
        with self._writing(f"service {name!r}") as connection:
            connection.execute(insert.on_conflict_do_update(index_elements=["name"], set_=values))

    def service(self, name: str) -> tuple[Mapping[str, Any], str | None] | None:
        row = self._first(select(services.c.spec, services.c.stable).where(services.c.name == name))
        return None if row is None else (codec.unescape(row[0]), row[1])

    def services(self) -> dict[str, tuple[Mapping[str, Any], str | None]]:
        rows = self._all(
            select(services.c.name, services.c.spec, services.c.stable).order_by(services.c.name)
        )
        return {name: (codec.unescape(spec), stable) for name, spec, stable in rows}

    def delete_service(self, name: str) -> None:
        with self._writing(f"service {name!r}") as connection:
            connection.execute(delete(services).where(services.c.name == name))

    def add_revision(self, revision: Revision) -> None:
        insert = self._dialect.insert(revisions).values(
            name=revision.name,
            service=revision.service,
            number=revision.number,
            document=codec.to_json(revision),
        )
        with self._writing(f"revision {revision.name!r}") as connection:
            require_service(connection, revision.service)
            added = connection.execute(insert.on_conflict_do_nothing().returning(revisions.c.name))
            if added.first() is None:
                raise Conflict(f"service {revision.service!r} has a revision {revision.number} already")

    def revisions(self, service: str) -> tuple[Revision, ...]:
        query = select(revisions.c.document).where(revisions.c.service == service)
        rows = self._all(query.order_by(revisions.c.number))
        return tuple(codec.from_json(codec.REVISION, row[0]) for row in rows)

    def revision(self, name: str) -> Revision | None:
        row = self._first(select(revisions.c.document).where(revisions.c.name == name))
        return None if row is None else codec.from_json(codec.REVISION, row[0])

    def save_rollout(
        self,
        rollout: Rollout,
        transition: Transition | None = None,
        stable: str | None = None,
        look: str = "",
    ) -> None:
        with self._writing(f"rollout {rollout.id!r}") as connection:
            require_service(connection, rollout.service)
            connection.execute(self._upsert_rollout(rollout))
            if transition is not None:
                connection.execute(self._insert_transition(transition))
            self._keep_look(connection, rollout, look)
            if stable is not None:
                mine = services.c.name == rollout.service
                connection.execute(update(services).where(mine).values(stable=stable))

    def rollout(self, id: str) -> Rollout | None:
        row = self._first(select(rollouts.c.document).where(rollouts.c.id == id))
        return None if row is None else codec.from_json(codec.ROLLOUT, row[0])

    def rollouts(self, service: str) -> tuple[Rollout, ...]:
        query = select(rollouts.c.document).where(rollouts.c.service == service)
        rows = self._all(query.order_by(rollouts.c.started, rollouts.c.id))
        return tuple(codec.from_json(codec.ROLLOUT, row[0]) for row in rows)

    def transitions(self, rollout: str) -> tuple[Transition, ...]:
        query = select(transitions.c.document).where(transitions.c.rollout == rollout)
        rows = self._all(query.order_by(transitions.c.at, transitions.c.sequence))
        return tuple(codec.from_json(codec.TRANSITION, row[0]) for row in rows)

    def _upsert_rollout(self, rollout: Rollout) -> Any:
        document = codec.to_json(rollout)
        insert = self._dialect.insert(rollouts).values(
            id=rollout.id, service=rollout.service, started=rollout.started, document=document
        )
        changed = {"started": rollout.started, "document": document}
        return insert.on_conflict_do_update(index_elements=["id"], set_=changed)

    def _insert_transition(self, transition: Transition) -> Any:
        insert = self._dialect.insert(transitions).values(
            rollout=transition.rollout,
            at=transition.at,
            before=transition.before.value,
            after=transition.after.value,
            document=codec.to_json(transition),
        )
        return insert.on_conflict_do_nothing()
