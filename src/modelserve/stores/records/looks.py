"""The looks of rollouts on any SQL database: a row for each at first, soon one compressed row for each block.

A look is written in the transaction that writes what became of it, so none is missing that was acted upon.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from sqlalchemy import Connection, Engine, delete, select

from modelserve.domain.rollouts import Rollout
from modelserve.rollout.looks import GROUND_EVERY
from modelserve.stores.records.base import Retention
from modelserve.stores.records.engine import Dialect, SqlStore
from modelserve.stores.records.schema import looks, rollouts

BLOCK = GROUND_EVERY
"""Looks in one row. Each block begins with a look that can be judged without those before it."""


class SqlLooks(SqlStore):
    """What the judge saw, by rollout and number."""

    def __init__(self, engine: Engine, dialect: Dialect, retention: Retention | None = None) -> None:
        self._retention = retention or Retention()
        super().__init__(engine, dialect)

    def looks(self, rollout: str) -> dict[int, str]:
        with self._reading() as connection:
            return _lines(connection, rollout)

    def _keep_look(self, connection: Connection, rollout: Rollout, look: str) -> None:
        """Add the last look of ``rollout``, if it was one, and put in order what is there already."""
        if not self._retention.looks or not (look or rollout.phase.done):
            return
        last = rollout.looks - 1
        if look:
            self._put(connection, rollout.id, last, [look])
        if look and last == 0:
            self._forget_old_rollouts(connection, rollout.service)
        if rollout.phase.done or rollout.looks % BLOCK == 0:
            self._pack(connection, rollout.id, last // BLOCK * BLOCK)
            self._forget_old_looks(connection, rollout)

    def _put(self, connection: Connection, rollout: str, first: int, lines: Sequence[str]) -> None:
        values = {"count": len(lines), "lines": zlib.compress("\n".join(lines).encode())}
        insert = self._dialect.insert(looks).values(rollout=rollout, first=first, **values)
        connection.execute(insert.on_conflict_do_update(index_elements=["rollout", "first"], set_=values))

    def _pack(self, connection: Connection, rollout: str, first: int) -> None:
        """All rows from ``first`` on as one; a gap among them stays as rows of their own."""
        found = _lines(connection, rollout, first)
        lines = [found[number] for number in range(first, first + len(found)) if number in found]
        if len(lines) < 2 or len(lines) < len(found):
            return
        mine = (looks.c.rollout == rollout) & (looks.c.first > first)
        connection.execute(delete(looks).where(mine))
        self._put(connection, rollout, first, lines)

    def _forget_old_looks(self, connection: Connection, rollout: Rollout) -> None:
        least = (rollout.looks - self._retention.looks) // BLOCK * BLOCK
        mine = (looks.c.rollout == rollout.id) & (looks.c.first < least)
        connection.execute(delete(looks).where(mine))

    def _forget_old_rollouts(self, connection: Connection, service: str) -> None:
        of_service = select(rollouts.c.id).where(rollouts.c.service == service)
        latest = of_service.order_by(rollouts.c.started.desc()).limit(self._retention.rollouts)
        ours, kept = looks.c.rollout.in_(of_service), looks.c.rollout.in_(latest)
        connection.execute(delete(looks).where(ours & ~kept))


def _lines(connection: Connection, rollout: str, first: int = 0) -> dict[int, str]:
    """By number; a row that can't be unpacked stands as empty lines, which are no looks."""
    mine = (looks.c.rollout == rollout) & (looks.c.first >= first)
    query = select(looks.c.first, looks.c.count, looks.c.lines).where(mine).order_by(looks.c.first)
    return {
        number: line
        for start, count, packed in connection.execute(query)
        for number, line in enumerate(_unpack(packed, count), start)
    }


def _unpack(packed: bytes, count: int) -> list[str]:
    try:
        lines = zlib.decompress(packed).decode().split("\n")
    except (zlib.error, UnicodeDecodeError):
        return [""] * count
    return lines
