"""Records in one SQLite file: the store of a single machine."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry

from modelserve.errors import Unavailable
from modelserve.stores.records import codec
from modelserve.stores.records.base import Retention
from modelserve.stores.records.engine import Dialect
from modelserve.stores.records.sql import SqlRecords

BUSY_TIMEOUT = 1.0
"""Seconds that a statement waits for another process to let go of the file."""

_CAUSES = {
    sqlite3.SQLITE_BUSY: "another process holds it locked; close what has it open, or try again",
    sqlite3.SQLITE_LOCKED: "another process holds it locked; close what has it open, or try again",
    sqlite3.SQLITE_FULL: "the disk is full; make room",
    sqlite3.SQLITE_READONLY: "it is read-only; check the owner and mode of the file and its folder",
    sqlite3.SQLITE_PERM: "access is denied; check the owner and mode of the file and its folder",
    sqlite3.SQLITE_CANTOPEN: "it can't be opened; check that its folder is there and may be written",
    sqlite3.SQLITE_IOERR: "the disk failed or is full",
    sqlite3.SQLITE_CORRUPT: "the file is damaged; restore a backup",
    sqlite3.SQLITE_NOTADB: "the file is not an SQLite database; name another one",
}


def open_sqlite(path: Path, retention: Retention | None = None) -> SqlRecords:
    """Open the file, or make it with mode 0600. Raises Unavailable."""
    path = path.absolute()
    _make(path)
    dialect = Dialect(place=f"the records store {path}", insert=sqlite.insert, explain=_explain)
    return SqlRecords(_engine(path), dialect, retention)


def _make(path: Path) -> None:
    """An empty file that only its owner may read; SQLite gives its mode to the files it keeps beside it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)
    except OSError as error:
        raise Unavailable(f"the records store {path} can't be opened: {error.strerror}") from error


def _engine(path: Path) -> Engine:
    engine = create_engine(
        f"sqlite:///{path}",
        connect_args={"timeout": BUSY_TIMEOUT, "isolation_level": None},
        json_serializer=codec.dumps,
        hide_parameters=True,
    )
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _prepare(connection: sqlite3.Connection, _entry: ConnectionPoolEntry) -> None:
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = NORMAL")
    _use_wal(connection)


def _use_wal(connection: sqlite3.Connection) -> None:
    """Readers and a writer at the same time. SQLite does not wait for a lock here, so this does."""
    deadline = time.monotonic() + BUSY_TIMEOUT
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _begin(connection: Connection) -> None:
    """A writer takes the lock at once: one that reads first and writes then could find itself outrun."""
    reads = connection.get_execution_options().get("read_only")
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def _explain(error: DBAPIError) -> str:
    code: Any = getattr(error.orig, "sqlite_errorcode", None)
    primary = code & 0xFF if isinstance(code, int) else None
    return _CAUSES.get(primary, str(error.orig)) if primary is not None else str(error.orig)
