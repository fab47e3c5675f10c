"""The registry in the records store: the same on every database."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import create_engine, make_url, text

from modelserve.domain.registry import ModelVersion
from modelserve.errors import Conflict, NotFound
from modelserve.stores.records import open_records


def draft(model: str = "bert-ner", digest: str = "ab") -> ModelVersion:
    return ModelVersion(
        model,
        0,
        digest,
        "s3://models/x",
        1_700_000_000.25,
        "naïve 🙂",
        {"by": "ada", "$": "x"},
        {"f1": 0.1 + 0.2},
    )


def test_versions_come_back_exactly_in_their_order(records):
    made = [records.register(draft(digest=digest)) for digest in ("a", "b", "c")]
    assert [version.number for version in made] == [1, 2, 3]
    (found,) = records.registered("bert-ner")
    assert found.versions == tuple(made)
    assert found.version(2) == made[1]


def test_models_are_listed_by_name_each_with_its_own(records):
    for name in ("b", "a", "b"):
        records.register(draft(name), (f"best-{name}",))
    assert [(m.name, len(m.versions), dict(m.aliases)) for m in records.registered()] == [
        ("a", 1, {"best-a": 1}),
        ("b", 2, {"best-b": 2}),
    ]
    assert records.registered("c") == ()


def test_an_alias_is_moved_in_one_step(records):
    records.register(draft(), ("champion",))
    records.register(draft())
    records.set_alias("bert-ner", "champion", 2)
    assert records.registered("bert-ner")[0].aliases == {"champion": 2}
    with pytest.raises(NotFound, match="no version 3"):
        records.set_alias("bert-ner", "champion", 3)
    records.remove_alias("bert-ner", "champion")
    with pytest.raises(NotFound, match="no alias 'champion'"):
        records.remove_alias("bert-ner", "champion")


def test_a_version_that_an_alias_points_to_stays(records):
    records.register(draft(), ("champion", "best"))
    with pytest.raises(Conflict, match="best, champion points to version 1"):
        records.delete_version("bert-ner", 1)
    assert len(records.registered("bert-ner")[0].versions) == 1


def test_no_number_is_given_twice(records):
    records.register(draft())
    records.register(draft())
    records.delete_version("bert-ner", 2)
    assert records.register(draft()).number == 3
    records.set_alias("bert-ner", "champion", 3)
    records.delete_model("bert-ner")
    assert records.registered() == ()
    assert records.register(draft()).number == 4
    assert records.registered("bert-ner")[0].aliases == {}


@pytest.mark.parametrize("forget", [lambda r: r.delete_model("x"), lambda r: r.delete_version("bert-ner", 7)])
def test_what_is_not_there_can_not_be_deleted(records, forget):
    records.register(draft())
    with pytest.raises(NotFound):
        forget(records)


def test_many_may_register_at_once(records):
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: records.register(draft(), ("latest",)).number, range(16)))
    assert sorted(made) == list(range(1, 17))


def test_is_added_to_a_store_of_an_earlier_version(records, url, samples):
    records.add_revision(samples.revision())
    records.close()
    engine = create_engine(make_url(url.replace("postgresql:", "postgresql+psycopg:")))
    with engine.begin() as connection:
        for table in ("model_aliases", "model_versions", "registered_models"):
            connection.execute(text(f"DROP TABLE {table}"))
        connection.execute(text("UPDATE schema_version SET version = 1"))
    engine.dispose()

    grown = open_records(url)

    assert grown.register(draft()).number == 1
    assert grown.revision("ner-00001") == samples.revision()
    grown.close()
    open_records(url).close()
