"""One suite for the port, over all of its adapters."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import create_engine, make_url, text

from modelserve.domain.rollouts import Phase, Rollout, Transition
from modelserve.errors import Conflict, NotFound, Unavailable
from modelserve.stores.records import open_records
from modelserve.stores.records.schema import VERSION


def test_services_come_back_as_they_were_put(records):
    records.put_service("resnet", {"spec": {"steps": [0.01, 1.0]}}, "resnet-00001")

    assert records.service("resnet") == ({"spec": {"steps": [0.01, 1.0]}}, "resnet-00001")
    assert list(records.services()) == ["ner", "resnet"]
    assert records.service("nobody") is None


def test_putting_a_service_again_replaces_it_and_keeps_what_belongs_to_it(records, samples):
    records.add_revision(samples.revision())

    records.put_service("ner", {"new": True}, "ner-00001")

    assert records.service("ner") == ({"new": True}, "ner-00001")
    assert len(records.revisions("ner")) == 1


def test_revisions_come_back_exactly_in_the_order_of_their_numbers(records, samples):
    for number in (2, 10, 1):
        records.add_revision(samples.revision(number))

    assert records.revisions("ner") == tuple(samples.revision(number) for number in (1, 2, 10))
    assert records.revision("ner-00010") == samples.revision(10)
    assert records.revision("ner-00011") is None


def test_a_number_that_is_taken_is_a_conflict(records, samples):
    records.add_revision(samples.revision())

    with pytest.raises(Conflict, match="'ner' has a revision 1"):
        records.add_revision(replace(samples.revision(), digest="sha256:other"))

    assert records.revision("ner-00001") == samples.revision()


def test_rollouts_come_back_exactly_infinities_included(records, samples):
    records.save_rollout(samples.rollout())

    assert records.rollout("r1") == samples.rollout()
    assert records.rollout("r2") is None


def test_a_bare_rollout_comes_back_exactly(records):
    rollout = Rollout("r1", "ner", "a", "b", Phase.LOADING, 1.0, 1.0)

    records.save_rollout(rollout)

    assert records.rollout("r1") == rollout


def test_rollouts_are_listed_by_their_start(records, samples):
    for id, started in (("late", 300.0), ("early", 100.0), ("middle", 200.0)):
        records.save_rollout(samples.rollout(id, started=started))

    assert [rollout.id for rollout in records.rollouts("ner")] == ["early", "middle", "late"]


def test_rollout_transition_and_stable_are_saved_together(records, samples):
    done = samples.rollout(phase=Phase.STABLE)

    records.save_rollout(done, samples.transition(), stable="ner-00002")

    assert records.rollout("r1") == done
    assert records.transitions("r1") == (samples.transition(),)
    assert records.service("ner") == ({"kind": "ModelService"}, "ner-00002")


def test_saving_without_stable_leaves_the_stable_revision_alone(records, samples):
    records.put_service("ner", {}, "ner-00001")

    records.save_rollout(samples.rollout())

    assert records.service("ner") == ({}, "ner-00001")


def test_transitions_are_listed_by_time_and_repeating_one_adds_nothing(records, samples):
    second = samples.transition(at=200.0)
    for transition in (second, samples.transition(), second, samples.transition()):
        records.save_rollout(samples.rollout(), transition)

    assert records.transitions("r1") == (samples.transition(), second)


def test_a_failure_in_the_middle_leaves_everything_as_it_was(records, samples):
    records.save_rollout(samples.rollout(), samples.transition(), stable="ner-00001")
    stray = Transition("no such rollout", 1.0, Phase.SHADOW, Phase.CANARY, 0.5, "")

    with pytest.raises(Exception, match=r"(?i)foreign key"):
        records.save_rollout(samples.rollout(phase=Phase.STABLE), stray, stable="ner-00002")

    assert records.rollout("r1") == samples.rollout()
    assert records.transitions("r1") == (samples.transition(),)
    assert records.service("ner") == ({"kind": "ModelService"}, "ner-00001")


def test_deleting_a_service_forgets_all_that_belongs_to_it(records, samples):
    records.put_service("resnet", {}, None)
    records.add_revision(samples.revision())
    records.add_revision(samples.revision(service="resnet"))
    records.save_rollout(samples.rollout(), samples.transition())

    records.delete_service("ner")
    records.delete_service("nobody")

    assert list(records.services()) == ["resnet"]
    assert records.revisions("ner") == ()
    assert records.rollouts("ner") == ()
    assert records.rollout("r1") is None
    assert records.transitions("r1") == ()
    assert records.revision("resnet-00001") is not None


def test_a_deleted_service_is_not_brought_back_by_a_late_write(records, samples):
    records.delete_service("ner")

    with pytest.raises(NotFound, match="'ner'"):
        records.save_rollout(samples.rollout())
    with pytest.raises(NotFound, match="'ner'"):
        records.add_revision(samples.revision())


def test_what_was_written_is_there_after_opening_again(records, url, samples):
    records.save_rollout(samples.rollout(), samples.transition())
    records.close()

    again = open_records(url)

    assert again.rollout("r1") == samples.rollout()
    again.close()


def test_many_threads_may_write_at_once(records, samples):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: records.add_revision(samples.revision(number)), range(1, 41)))

    assert [revision.number for revision in records.revisions("ner")] == list(range(1, 41))


WRITER = """
import sys
from modelserve.domain.rollouts import Revision
from modelserve.stores.records import open_records
from modelserve.stores.records.schema import VERSION
records = open_records(sys.argv[1])
records.put_service("shared", {}, None)
first = int(sys.argv[2])
for number in range(first, first + 50):
    records.add_revision(Revision("shared", number, "d", {}, "p", 0.0))
"""


def test_two_processes_may_open_an_empty_store_and_write_at_once(url):
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, url, first], stderr=subprocess.PIPE, text=True)
        for first in ("1", "1001")
    ]

    assert [(writer.communicate(timeout=60)[1], writer.returncode) for writer in writers] == [("", 0)] * 2
    records = open_records(url)
    assert len(records.revisions("shared")) == 100
    records.close()


def test_a_store_from_the_future_is_refused(records, url):
    records.close()
    engine = create_engine(make_url(url.replace("postgresql:", "postgresql+psycopg:")))
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO schema_version VALUES (99)"))
    engine.dispose()

    with pytest.raises(Unavailable, match=rf"ModelServe \(schema 99, this one knows {VERSION}\): upgrade"):
        open_records(url)


def test_a_nul_or_anything_else_that_text_may_hold_does_not_break_the_store(records, samples):
    odd = replace(samples.rollout(), reason="null \x00, control \x1b, astral 🙂")

    records.save_rollout(odd)

    assert records.rollout("r1") == odd
