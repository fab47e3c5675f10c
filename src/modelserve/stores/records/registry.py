"""The model registry's rows: models, their versions and aliases."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from sqlalchemy import Connection, delete, select

from modelserve.domain.registry import ModelVersion, RegisteredModel
from modelserve.errors import Conflict, NotFound
from modelserve.stores.records import codec
from modelserve.stores.records.engine import SqlStore
from modelserve.stores.records.schema import model_aliases, model_versions, registered_models


class SqlRegistry(SqlStore):
    """The part of the port that the registry is."""

    def register(self, version: ModelVersion, aliases: Iterable[str] = ()) -> ModelVersion:
        with self._writing(f"model {version.model!r}") as connection:
            numbered = replace(version, number=self._next_number(connection, version.model))
            document = codec.to_json(numbered)
            connection.execute(
                model_versions.insert().values(
                    model=numbered.model, number=numbered.number, document=document
                )
            )
            for alias in aliases:
                self._point(connection, numbered.model, alias, numbered.number)
        return numbered

    def registered(self, model: str | None = None) -> tuple[RegisteredModel, ...]:
        versions = select(model_versions.c.model, model_versions.c.document)
        aliases = select(model_aliases.c.model, model_aliases.c.alias, model_aliases.c.number)
        if model is not None:
            versions = versions.where(model_versions.c.model == model)
            aliases = aliases.where(model_aliases.c.model == model)
        by_number = versions.order_by(model_versions.c.model, model_versions.c.number)
        with self._reading() as connection:
            numbered = [codec.from_json(codec.MODEL_VERSION, row[1]) for row in connection.execute(by_number)]
            pointed = list(connection.execute(aliases.order_by(model_aliases.c.alias)))
        return tuple(
            RegisteredModel(
                name,
                tuple(version for version in numbered if version.model == name),
                {alias: number for owner, alias, number in pointed if owner == name},
            )
            for name in sorted({version.model for version in numbered})
        )

    def set_alias(self, model: str, alias: str, number: int) -> None:
        with self._writing(f"alias {alias!r} of model {model!r}") as connection:
            _require_version(connection, model, number)
            self._point(connection, model, alias, number)

    def remove_alias(self, model: str, alias: str) -> None:
        mine = (model_aliases.c.model == model) & (model_aliases.c.alias == alias)
        with self._writing(f"alias {alias!r} of model {model!r}") as connection:
            if connection.execute(delete(model_aliases).where(mine)).rowcount == 0:
                raise NotFound(f"model {model!r} has no alias {alias!r}")

    def delete_version(self, model: str, number: int) -> None:
        pointing = (model_aliases.c.model == model) & (model_aliases.c.number == number)
        mine = (model_versions.c.model == model) & (model_versions.c.number == number)
        with self._writing(f"version {number} of model {model!r}") as connection:
            _require_version(connection, model, number)
            names = connection.execute(select(model_aliases.c.alias).where(pointing)).scalars().all()
            if names:
                raise Conflict(
                    f"{', '.join(sorted(names))} points to version {number} of {model!r}: move or remove it "
                    "first"
                )
            connection.execute(delete(model_versions).where(mine))

    def delete_model(self, model: str) -> None:
        with self._writing(f"model {model!r}") as connection:
            connection.execute(delete(model_aliases).where(model_aliases.c.model == model))
            gone = connection.execute(delete(model_versions).where(model_versions.c.model == model))
            if gone.rowcount == 0:
                raise NotFound(f"there is no registered model {model!r}")

    def _next_number(self, connection: Connection, model: str) -> int:
        """The row stays locked until the transaction ends, so two writers can't get one number."""
        insert = self._dialect.insert(registered_models).values(name=model, numbered=1)
        counted = insert.on_conflict_do_update(
            index_elements=["name"], set_={"numbered": registered_models.c.numbered + 1}
        ).returning(registered_models.c.numbered)
        return int(connection.execute(counted).scalar_one())

    def _point(self, connection: Connection, model: str, alias: str, number: int) -> None:
        insert = self._dialect.insert(model_aliases).values(model=model, alias=alias, number=number)
        connection.execute(
            insert.on_conflict_do_update(index_elements=["model", "alias"], set_={"number": number})
        )


def _require_version(connection: Connection, model: str, number: int) -> None:
    """The row stays locked until the transaction ends: nobody points an alias to a version that goes."""
    mine = (model_versions.c.model == model) & (model_versions.c.number == number)
    found = connection.execute(select(model_versions.c.number).where(mine).with_for_update())
    if found.first() is None:
        raise NotFound(f"there is no version {number} of a registered model {model!r}")
