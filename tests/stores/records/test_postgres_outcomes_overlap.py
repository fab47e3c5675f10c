"""Outcomes that two callers tell at once: Postgres lets both write, unless it is told otherwise."""

import asyncio
import threading
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import create_engine, event, make_url, text

from modelserve._kit.waiting import wait_until
from modelserve.domain.experiments import ExperimentPhase, ExperimentState
from modelserve.domain.participants import Exposure, Outcome
from modelserve.stores.records import open_records, postgres


@pytest.fixture
def tone(postgres_url, monkeypatch):
    """A patient store with an experiment that two participants have met."""
    monkeypatch.setattr(postgres, "STATEMENT_TIMEOUT", 60_000)
    records = open_records(postgres_url)
    records.put_service("ner", {}, "ner-00001")
    revisions = {"a": "ner-00001", "b": "ner-00002"}
    records.save_experiment(ExperimentState("tone", "ner", {}, revisions, ExperimentPhase.RUNNING, 1.0, ()))
    records.add_exposures("tone", [Exposure(key, "a", 2.0, f"request-{key}", "a=10000") for key in "xy"])
    yield records
    records.close()


@pytest.fixture
def waits(postgres_url):
    """Whether somebody waits for a lock in this database."""
    engine = create_engine(
        make_url(postgres_url).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT"
    )
    locked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    with engine.connect() as connection:
        yield lambda: connection.scalar(text(f"{locked} AND datname = current_database()"))
    engine.dispose()


@pytest.fixture
def overlapping(tone, waits):
    """``async with overlapping(first, second) as told``: the first is held before its end until the second
    has ended, or waits for it; the body runs then, and afterwards ``told`` has what both returned."""
    held, go_on = threading.Event(), threading.Event()

    def hold(_connection):
        if not held.is_set():
            held.set()
            assert go_on.wait(30)

    @asynccontextmanager
    async def overlap(first, second):
        told = []
        event.listen(tone._engine, "commit", hold)
        calls = [asyncio.create_task(asyncio.to_thread(tell, tone, first))]
        try:
            await wait_until(held.is_set, 30, "the first is about to end")
            calls.append(asyncio.create_task(asyncio.to_thread(tell, tone, second)))
            await wait_until(lambda: calls[1].done() or waits(), 30, "the second has met the first")
            yield told
        finally:
            go_on.set()
            await asyncio.wait(calls)
        told += [call.result() for call in calls]

    return overlap


def tell(records, key):
    return records.add_outcomes("tone", [Outcome(key, "ok", 1.0, 3.0)])


async def test_whoever_follows_the_outcomes_misses_none(tone, overlapping):
    async with overlapping("x", "y") as told:
        seen = tone.outcomes("tone", "ok", 0, 10)
    assert told == [(None,), (None,)]
    later = tone.outcomes("tone", "ok", seen[-1][0] if seen else 0, 10)
    assert len(seen + later) == 2


async def test_one_that_is_told_again_meanwhile_is_known(overlapping):
    async with overlapping("x", "x") as told:
        pass
    assert told == [(None,), (1.0,)]
