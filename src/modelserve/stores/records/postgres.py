"""Records in Postgres: the store of a cluster."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import URL, Connection, create_engine, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DBAPIError

from modelserve.errors import Unavailable
from modelserve.stores.records import codec
from modelserve.stores.records.base import Retention
from modelserve.stores.records.engine import Dialect
from modelserve.stores.records.sql import SqlRecords

CONNECT_TIMEOUT = 3
"""Seconds to reach the server; also how long a call waits for a free connection."""
STATEMENT_TIMEOUT = 5000
"""Milliseconds for one statement, waiting for locks included."""

_SCHEMA_LOCK = 0x6D6F64656C  # any number that all processes of one ModelServe agree on
_SECRET = ("password", "sslpassword", "passfile")
"""Parameters of a URL that are shown nowhere."""
_CAUSES = {
    "28": "the user or the password is refused",
    "3D": "there is no such database on this server",
    "53": "the server is out of disk space, memory or connections",
    "25": "the server is read-only",
    "42": "the user may not do this, or the tables are not as ModelServe made them",
    "55": "something else holds the rows locked",
    "57": "the server took too long or is shutting down",
}


def open_postgres(url: URL, retention: Retention | None = None) -> SqlRecords:
    """Connect by psycopg 3. Raises Unavailable, also where psycopg is not installed."""
    try:
        import psycopg  # noqa: F401 - asks whether it is there
    except ImportError as error:
        raise Unavailable(
            "records in Postgres need psycopg: run pip install 'modelserve[postgres]'"
        ) from error
    options = f"-c statement_timeout={STATEMENT_TIMEOUT} -c idle_in_transaction_session_timeout=10000"
    given = url.query.get("options")
    engine = create_engine(
        url.set(drivername="postgresql+psycopg").difference_update_query(["options"]),
        connect_args={
            "connect_timeout": CONNECT_TIMEOUT,
            "options": f"{options} {given}" if given else options,
            "tcp_user_timeout": STATEMENT_TIMEOUT,
            "application_name": "modelserve",
        },
        pool_pre_ping=True,
        pool_timeout=CONNECT_TIMEOUT,
        json_serializer=codec.dumps,
        hide_parameters=True,
    )
    secrets = _secrets(url)
    dialect = Dialect(
        place=f"the records store {_shown(url)}",
        insert=postgresql.insert,
        explain=lambda error: _explain(error, secrets),
        lock_schema=_lock_schema,
    )
    return SqlRecords(engine, dialect, retention)


def _lock_schema(connection: Connection) -> None:
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _SCHEMA_LOCK})


def _shown(url: URL) -> str:
    """Where the store lies, and nothing else: anything may stand in the rest of the URL, passwords too."""
    host, port, database = (
        str(part or ",".join(url.normalized_query.get(name, ())))
        for name, part in (("host", url.host), ("port", url.port), ("dbname", url.database))
    )
    return f"postgresql://{host}{port and ':'}{port}/{database}"


def _secrets(url: URL) -> tuple[str, ...]:
    given = (value for name in _SECRET for value in url.normalized_query.get(name, ()))
    return tuple(str(secret) for secret in (url.password, *given) if secret)


def _explain(error: DBAPIError, secrets: Sequence[str]) -> str:
    """The class of the SQLSTATE in words, then the server's own words; one out of reach has no state."""
    said = " ".join(str(error.orig).split())
    for secret in secrets:
        said = said.replace(secret, "***")
    state = getattr(error.orig, "sqlstate", None) or ""
    return f"{_CAUSES.get(state[:2], 'the server can not be reached or failed')} ({said})"
