"""The records store, chosen by URL: which services, revisions and rollouts there are, and how they went."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from modelserve.errors import InvalidInput
from modelserve.stores.records.base import Records, Retention

__all__ = ["Records", "Retention", "open_records"]

_FORMS = "sqlite:///relative/path, sqlite:////absolute/path or postgresql://user:password@host/database"


def open_records(url: str, retention: Retention | None = None) -> Records:
    """The store at ``url``; its tables are made where they lack, and looks are kept as ``retention`` says.

    Raises InvalidInput for a URL of another form (the password in it is not repeated), Unavailable for a
    store that can't be opened or that a newer ModelServe wrote.
    """
    parsed = _parse(url)
    if parsed.drivername == "sqlite":
        return _open_sqlite(parsed, retention)
    if parsed.drivername in ("postgresql", "postgres", "postgresql+psycopg"):
        from modelserve.stores.records.postgres import open_postgres

        return open_postgres(parsed, retention)
    raise InvalidInput(f"records_url: got {parsed.drivername}://...: must be {_FORMS}")


def _parse(url: str) -> URL:
    try:
        return make_url(url)
    except (ArgumentError, ValueError):
        raise InvalidInput(f"records_url: not a URL: must be {_FORMS}") from None


def _open_sqlite(url: URL, retention: Retention | None) -> Records:
    if url.host or not url.database or url.database == ":memory:":
        raise InvalidInput(f"records_url: names no file: must be {_FORMS}")
    from modelserve.stores.records.sqlite import open_sqlite

    return open_sqlite(Path(url.database), retention)
