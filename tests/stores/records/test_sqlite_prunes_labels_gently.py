"""Old labels are looked for by indexes and without the right to write, of which SQLite has one for all."""

import sqlite3

import pytest
from sqlalchemy import event

from modelserve.domain.labels import Label, Prediction, ShadowPrediction
from modelserve.stores.records import open_records

TABLES = ("predictions", "shadow_predictions", "labels", "label_cells", "label_pairs")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "records.db"


@pytest.fixture
def records(path):
    """Rows in every table, of a service that is there and of one that is gone."""
    records = open_records(f"sqlite:///{path}")
    for service in ("ner", "gone"):
        records.put_service(service, {}, None)
        stable = Prediction("r1", "ner-00001", "stable", 1000.0, 0.5, {"label": "cat"})
        records.add_predictions(service, [stable], 1000.0)
        records.add_shadow_predictions(
            service, [ShadowPrediction("r1", "ner-00002", 1000.0, {"label": "dog"})], 1000.0
        )
        records.add_labels(service, [Label(id, {"label": "cat"}) for id in ("r1", "r2")], 1000.0, 10)
    yield records
    records.close()


def test_others_write_while_it_looks(records, path):
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert records.prune_labels(0.0, 0.0, 10, 0) == 0
    other.execute("ROLLBACK")
    other.close()


def test_every_row_is_found_by_an_index(records, path):
    said = {}

    def note(_connection, _cursor, statement, given, *_):
        said[statement] = given

    records.delete_service("gone")
    event.listen(records._engine, "before_cursor_execute", note)
    while records.prune_labels(2000.0, 2000.0, 10, 10**6):
        pass
    other = sqlite3.connect(path)
    assert [other.execute(f"SELECT count(*) FROM {table}").fetchone() for table in TABLES] == [(0,)] * 5
    newest_first = {sql for sql in said if "ORDER BY predictions.at DESC" in sql}
    steps = [
        (step, sql)
        for sql, given in said.items()
        if sql.startswith(("SELECT", "DELETE")) and sql not in newest_first
        for *_, step in other.execute(f"EXPLAIN QUERY PLAN {sql}", given)
    ]
    assert steps
    assert not [step for step in steps if step[0].startswith("SCAN") and step[0].split()[1] in TABLES]
    other.close()
