"""What every SQL store does: open its tables, read, and write in transactions.

What differs from one database to the next comes in as a :class:`Dialect`. Every change is one transaction,
so that a store which fails half-way is as it was before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, Select, Table, inspect, select
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError

from modelserve.errors import Unavailable
from modelserve.stores.records.schema import VERSION, metadata, schema_version

READ_ONLY = {"read_only": True}
"""Execution option of connections that only read; a dialect may begin those more gently."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """What one database does its own way."""

    place: str
    """Where the store lies, for people; holds no secret."""
    insert: Callable[[Table], Any]
    """The INSERT that knows ON CONFLICT."""
    explain: Callable[[DBAPIError], str]
    """The cause of a failure, in words that say what to do about it."""
    lock_schema: Callable[[Connection], None] = lambda connection: None
    """Keep other processes from creating the tables until this transaction ends."""


class SqlStore:
    """Tables on an SQLAlchemy engine; safe to use from many threads at once."""

    def __init__(self, engine: Engine, dialect: Dialect) -> None:
        """Make the tables where they lack. Raises Unavailable, also for a schema from the future."""
        self._engine = engine
        self._dialect = dialect
        try:
            self._ensure_schema()
        except BaseException:
            engine.dispose()
            raise

    def close(self) -> None:
        """Let go of every connection; harmless when repeated."""
        self._engine.dispose()

    def _ensure_schema(self) -> None:
        with self._speaking("be opened"):
            with self._engine.connect().execution_options(**READ_ONLY) as connection:
                found = _version(connection)
            if found is None or found < VERSION:
                with self._engine.begin() as connection:
                    found = self._bring_up(connection)
        if found > VERSION:
            raise Unavailable(
                f"{self._dialect.place} was written by a newer ModelServe (schema {found}, this one knows "
                f"{VERSION}): upgrade this ModelServe, or name another store in MODELSERVE_RECORDS_URL"
            )

    def _bring_up(self, connection: Connection) -> int:
        """Add the tables that lack: up to now every version has only added some."""
        self._dialect.lock_schema(connection)
        found = _version(connection)
        if found is not None and found >= VERSION:
            return found
        metadata.create_all(connection)
        connection.execute(schema_version.insert().values(version=VERSION))
        return VERSION

    def _first(self, query: Select[Any]) -> Any:
        rows = self._all(query)
        return rows[0] if rows else None

    def _all(self, query: Select[Any]) -> list[Any]:
        with self._reading() as connection:
            return list(connection.execute(query))

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with (
            self._speaking("be read"),
            self._engine.connect().execution_options(**READ_ONLY) as connection,
        ):
            yield connection

    @contextmanager
    def _writing(self, subject: str) -> Iterator[Connection]:
        with self._speaking(f"be written ({subject})"), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def _speaking(self, what: str) -> Iterator[None]:
        """Turn the database's failures into Unavailable; a broken promise of ours stays what it is."""
        try:
            yield
        except IntegrityError:
            raise
        except DBAPIError as error:
            raise self._unavailable(what, self._dialect.explain(error)) from error
        except SQLAlchemyError as error:
            raise self._unavailable(what, str(error)) from error

    def _unavailable(self, what: str, cause: str) -> Unavailable:
        return Unavailable(f"{self._dialect.place} can't {what}: {cause}", retry_after=1.0)


def _version(connection: Connection) -> int | None:
    """The newest schema written in this store; None: no schema yet."""
    if not inspect(connection).has_table(schema_version.name):
        return None
    versions = connection.execute(select(schema_version.c.version)).scalars().all()
    return max(versions, default=None)
