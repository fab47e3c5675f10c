"""Looks come back as they were written, take little room, and old ones go."""

from dataclasses import replace

import pytest
from sqlalchemy import create_engine, make_url, text

from modelserve.domain.rollouts import Phase
from modelserve.stores.records import Retention, open_records
from modelserve.stores.records import looks as keeping

BLOCK = 8


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """A store with blocks so small that a test soon fills some."""
    monkeypatch.setattr(keeping, "BLOCK", BLOCK)


@pytest.fixture
def small(url):
    """An empty store that keeps little."""
    records = open_records(url, Retention(rollouts=2, looks=BLOCK))
    records.put_service("ner", {}, None)
    yield records
    records.close()


def line(number: int) -> str:
    return f'{{"look":{number},"ü":"{"x" * 300}"}}'


def look(records, rollout, count: int, begin: int = 0) -> None:
    for number in range(begin, begin + count):
        records.save_rollout(replace(rollout, looks=number + 1), look=line(number))


def rows(url: str) -> list[tuple[int, int]]:
    engine = create_engine(make_url(url.replace("postgresql:", "postgresql+psycopg:")))
    with engine.connect() as connection:
        found = connection.execute(text("SELECT first, count FROM looks ORDER BY rollout, first"))
        rows = [(first, count) for first, count in found]
    engine.dispose()
    return rows


def test_as_they_were_written(records, samples):
    look(records, samples.rollout(), 5)
    assert records.looks("r1") == {number: line(number) for number in range(5)}
    assert records.looks("nobody") == {}


def test_a_full_block_is_one_row(records, samples, url):
    look(records, samples.rollout(), BLOCK + 2)
    assert rows(url) == [(0, BLOCK), (BLOCK, 1), (BLOCK + 1, 1)]
    assert records.looks("r1") == {number: line(number) for number in range(BLOCK + 2)}


def test_the_end_of_a_rollout_is_one_row_too(records, samples, url):
    look(records, samples.rollout(), 3)
    records.save_rollout(replace(samples.rollout(phase=Phase.ROLLED_BACK), looks=3))
    assert rows(url) == [(0, 3)]
    assert records.looks("r1") == {number: line(number) for number in range(3)}


def test_one_that_is_written_again_takes_the_place_of_the_first(records, samples):
    look(records, samples.rollout(), BLOCK)
    records.save_rollout(replace(samples.rollout(), looks=BLOCK), look="again")
    earlier = {number: line(number) for number in range(BLOCK - 1)}
    assert records.looks("r1") == earlier | {BLOCK - 1: "again"}


def test_old_ones_go_in_whole_blocks(small, samples, url):
    look(small, samples.rollout(), 3 * BLOCK)
    assert rows(url) == [(2 * BLOCK, BLOCK)]


def test_those_of_old_rollouts_go_when_a_new_one_is_looked_at(small, samples):
    for number in range(4):
        look(small, samples.rollout(f"r{number}", started=100.0 + number), 2)
    assert [len(small.looks(f"r{number}")) for number in range(4)] == [0, 0, 2, 2]


def test_those_of_other_services_stay(small, samples):
    small.put_service("resnet", {}, None)
    other = replace(samples.rollout("other", started=1.0), service="resnet")
    look(small, other, 2)
    for number in range(3):
        look(small, samples.rollout(f"r{number}", started=100.0 + number), 1)
    assert len(small.looks("other")) == 2


def test_none_are_written_if_none_are_to_be_kept(url, samples):
    records = open_records(url, Retention(looks=0))
    records.put_service("ner", {}, None)
    look(records, samples.rollout(), 2)
    assert records.looks("r1") == {}
    records.close()


def test_a_deleted_service_takes_its_looks_with_it(records, samples):
    look(records, samples.rollout(), 2)
    records.delete_service("ner")
    assert records.looks("r1") == {}


def test_a_damaged_row_is_so_many_empty_lines(records, samples, url):
    look(records, samples.rollout(), BLOCK + 1)
    engine = create_engine(make_url(url.replace("postgresql:", "postgresql+psycopg:")))
    with engine.begin() as connection:
        connection.execute(text("UPDATE looks SET lines = :junk WHERE first = 0"), {"junk": b"junk"})
    engine.dispose()
    assert records.looks("r1") == dict.fromkeys(range(BLOCK), "") | {BLOCK: line(BLOCK)}


def test_a_failure_in_the_middle_leaves_no_look(records, samples):
    stray = replace(samples.transition(), rollout="no such rollout")
    with pytest.raises(Exception, match=r"(?i)foreign key"):
        records.save_rollout(replace(samples.rollout(), looks=1), stray, look=line(0))
    assert records.looks("r1") == {}


def test_a_store_of_an_earlier_version_gets_their_table(records, samples, url):
    records.close()
    engine = create_engine(make_url(url.replace("postgresql:", "postgresql+psycopg:")))
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE looks"))
        connection.execute(text("UPDATE schema_version SET version = 2"))
    engine.dispose()
    grown = open_records(url)
    look(grown, samples.rollout(), 1)
    assert grown.looks("r1") == {0: line(0)}
    grown.close()
