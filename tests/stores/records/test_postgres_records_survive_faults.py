import builtins
import sys

import pytest
from sqlalchemy import create_engine, make_url, text

from modelserve._kit.ports import free_port
from modelserve.errors import Unavailable
from modelserve.stores.records import open_records, postgres


@pytest.fixture
def records(postgres_url, monkeypatch):
    monkeypatch.setattr(postgres, "STATEMENT_TIMEOUT", 500)
    records = open_records(postgres_url)
    records.put_service("ner", {}, "ner-00001")
    yield records
    records.close()


@pytest.fixture
def other(postgres_url):
    """A connection beside the store's."""
    engine = create_engine(make_url(postgres_url).set(drivername="postgresql+psycopg"))
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def test_rows_that_another_holds_are_unavailable_and_nothing_is_half_written(records, other, samples):
    other.execute(text("LOCK TABLE services IN ACCESS EXCLUSIVE MODE"))

    with pytest.raises(Unavailable, match="took too long"):
        records.save_rollout(samples.rollout(), samples.transition(), stable="ner-00002")

    other.rollback()
    assert records.rollout("r1") is None
    assert records.service("ner") == ({}, "ner-00001")
    records.save_rollout(samples.rollout(), samples.transition(), stable="ner-00002")
    assert records.service("ner") == ({}, "ner-00002")


def test_connections_that_the_server_cut_are_made_again(records, other):
    others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'modelserve'"
    assert other.execute(text(others)).all()

    assert records.service("ner") == ({}, "ner-00001")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:hunter2@127.0.0.1:{port}/db",
        "postgresql://me@127.0.0.1:{port}/db?password=hunter2",
        "postgresql:///db?host=127.0.0.1&port={port}&user=me&password=hunter2&sslpassword=hunter2",
        "postgresql:///?host=127.0.0.1&port={port}&dbname=db&passfile=/home/me/hunter2",
    ],
)
def test_a_server_out_of_reach_is_unavailable_and_the_password_stays_secret(url):
    port = free_port()

    with pytest.raises(
        Unavailable, match=rf"store postgresql://127\.0\.0\.1:{port}/db can't be opened: .*refused"
    ) as caught:
        open_records(url.format(port=port))

    assert "hunter2" not in str(caught.value)
    assert caught.value.retryable


def test_a_password_that_the_driver_repeats_is_hidden():
    with pytest.raises(Unavailable) as caught:
        open_records("postgresql://127.0.0.1:1/db?sslpassword=hunter2&sslmode=hunter2")

    assert "hunter2" not in str(caught.value)
    assert "***" in str(caught.value)


def test_a_database_that_is_not_there_is_named(postgres_url):
    url = make_url(postgres_url).set(database="nowhere").render_as_string(hide_password=False)

    with pytest.raises(Unavailable, match=r"no such database.*nowhere|nowhere.*does not exist"):
        open_records(url)


def test_a_read_only_server_says_so(postgres_url):
    open_records(postgres_url).close()
    url = make_url(postgres_url).update_query_dict({"options": "-c default_transaction_read_only=on"})
    records = open_records(url.render_as_string(hide_password=False))

    assert records.services() == {}
    with pytest.raises(Unavailable, match="read-only"):
        records.put_service("ner", {}, None)
    records.close()


def test_missing_psycopg_names_what_to_install(monkeypatch):
    monkeypatch.delitem(sys.modules, "psycopg", raising=False)
    real = builtins.__import__

    def without_psycopg(name, *args, **kwargs):
        if name == "psycopg":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_psycopg)

    with pytest.raises(Unavailable, match=r"pip install 'modelserve\[postgres\]'"):
        open_records("postgresql://host/db")
