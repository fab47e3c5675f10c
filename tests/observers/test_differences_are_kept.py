"""Differences are kept: the most telling of each kind, each request once, and not for ever."""

from modelserve.domain.differences import Difference
from modelserve.observers.differences import Differences, Differing


def differing(id, score, *kinds, text=None, noisy=False):
    asked = None if text is None else {"kind": "texts", "items": [text]}
    found = Difference(dict.fromkeys(kinds or ("type",), 1), score)
    return Differing(id, 1.0, found, noisy, asked, {"kind": "entities"}, {"kind": "entities"}, 200)


def ids(kept):
    return [one.id for one in kept]


def test_those_that_differ_most_come_first():
    differences = Differences(per_kind=2)
    differences.keep("ner", "ner-2", [differing(f"r{n}", n / 10) for n in (3, 9, 1, 5)])
    assert ids(differences.of("ner", "ner-2", 10)) == ["r9", "r5"]
    assert ids(differences.of("ner", "ner-2", 1)) == ["r9"]


def test_each_kind_has_room_of_its_own():
    differences = Differences(per_kind=2)
    differences.keep("ner", "ner-2", [differing(f"m{n}", 1.0, "missing") for n in range(9)])
    differences.keep("ner", "ner-2", [differing("b", 0.1, "boundary", "type")])
    assert ids(differences.of("ner", "ner-2", 10, "boundary")) == ["b"]
    assert len(differences.of("ner", "ner-2", 10, "missing")) == 2
    assert len(differences.of("ner", "ner-2", 10)) == 3


def test_a_request_that_comes_again_is_kept_once():
    differences = Differences()
    differences.keep("ner", "ner-2", [differing(f"r{n}", n / 10, text="the same") for n in range(5)])
    assert ids(differences.of("ner", "ner-2", 10)) == ["r4"]


def test_what_stable_is_unsure_of_itself_comes_last():
    differences = Differences()
    differences.keep("ner", "ner-2", [differing("noisy", 1.0, noisy=True), differing("clear", 0.1)])
    assert ids(differences.of("ner", "ner-2", 10)) == ["clear", "noisy"]


def test_old_candidates_and_deleted_services_leave_nothing():
    differences = Differences(rollouts=2)
    for candidate in ("ner-1", "ner-2", "ner-1", "ner-3"):
        differences.keep("ner", candidate, [differing("a", 1.0)])
    assert ids(differences.of("ner", "ner-2", 10)) == []
    assert ids(differences.of("ner", "ner-1", 10)) == ["a"]
    differences.forget("ner")
    assert ids(differences.of("ner", "ner-1", 10)) == []
