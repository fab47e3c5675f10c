"""Answers are compared: what counts as the same answer of two versions, and what differs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelserve.domain.services import Compare
from modelserve.judge.comparison import compare
from modelserve.judge.spans import align

RULES = Compare()
TEXT = st.integers(0, 40).flatmap(lambda start: st.tuples(st.just(start), st.integers(start + 1, 48)))
NAMED = st.builds(lambda label, at: (label, *at), st.sampled_from(["PER", "ORG"]), TEXT)
SPANS = st.lists(NAMED, max_size=12)


def entities(*spans):
    return {"kind": "entities", "items": [[list(span) for span in spans]]}


def labels(*found):
    return {"kind": "labels", "items": [label for label, _ in found], "scores": [score for _, score in found]}


def tensor(*data, shape=None):
    return {"kind": "tensors", "outputs": {"y": {"shape": shape or [len(data)], "data": list(data)}}}


@pytest.mark.parametrize(
    ("stable", "candidate", "kinds"),
    [
        (entities(("PER", 0, 12)), entities(("PER", 0, 12)), {}),
        (entities(("PER", 0, 12)), entities(("ORG", 0, 12)), {"type": 1}),
        (entities(("PER", 0, 12)), entities(("PER", 0, 3)), {"boundary": 1}),
        (entities(("PER", 0, 12)), entities(("ORG", 3, 12)), {"boundary": 1, "type": 1}),
        (entities(("PER", 0, 12)), entities(), {"missing": 1}),
        (entities(), entities(("PER", 0, 12)), {"extra": 1}),
        (entities(("PER", 0, 4)), entities(("PER", 4, 8)), {"missing": 1, "extra": 1}),
        (entities(("PER", 0, 9)), entities(("ORG", 0, 4), ("PER", 5, 9)), {"boundary": 1, "extra": 1}),
        ({"kind": "labels", "items": ["7"]}, {"kind": "labels", "items": ["7"]}, {}),
        ({"kind": "labels", "items": ["7"]}, {"kind": "labels", "items": ["1"]}, {"label": 1}),
        (labels(("7", 0.9), ("2", 0.9)), labels(("7", 0.6), ("3", 0.9)), {"label": 1}),
        (labels(("7", 0.9)), labels(("7", 0.9), ("3", 0.9)), {"shape": 1}),
        (tensor(1.0, 2.0), tensor(1.0, 2.000001), {}),
        (tensor(1.0, 2.0), tensor(1.0, 2.5), {"value": 1}),
        (tensor(1.0, 2.0), tensor(1.0, 2.0, shape=[1, 2]), {"shape": 1}),
        (tensor("nan"), tensor("nan"), {}),
        (tensor(1.0), {"kind": "labels", "items": ["1"]}, {"form": 1}),
        (entities(), None, {"failure": 1}),
    ],
)
def test_what_differs_is_told_apart(stable, candidate, kinds):
    found = compare(stable, candidate, RULES)
    assert found.kinds == kinds
    assert (found.score > 0) is bool(kinds)


def test_a_score_that_moves_counts_only_where_the_owner_says_how_far_it_may():
    stable, candidate = labels(("7", 0.9)), labels(("7", 0.6))
    assert compare(stable, candidate, RULES).is_none
    assert compare(stable, candidate, Compare(score_tolerance=0.3000001)).is_none
    assert compare(stable, candidate, Compare(score_tolerance=0.2)).kinds == {"score": 1}


def test_tolerances_are_the_owners():
    loose, strict = Compare(relative_tolerance=0.5), Compare(relative_tolerance=0, absolute_tolerance=0)
    assert compare(tensor(1.0, 2.0), tensor(1.0, 2.5), loose).is_none
    assert compare(tensor(1.0, 2.0), tensor(1.0, 2.0000001), strict).kinds == {"value": 1}


def test_two_versions_that_are_sure_of_different_things_differ_most():
    doubtful = compare(labels(("7", 0.4)), labels(("1", 0.4)), RULES)
    sure = compare(labels(("7", 0.99)), labels(("1", 0.99)), RULES)
    assert doubtful.score < sure.score < 1


@pytest.mark.parametrize(("one", "other"), [(-40.0, -90.0), (40.0, 90.0), (0.99, 0.98), (-1.0, 0.5)])
def test_whatever_numbers_a_model_gives_as_scores_they_differ_by_a_share(one, other):
    """A regression's are no probabilities, and those of labels that hold or not do not sum to 1."""
    another = compare(labels(("a", one)), labels(("b", other)), RULES)
    assert 0 < another.score <= 1
    moved = compare(labels(("a", one)), labels(("a", other)), Compare(score_tolerance=0))
    assert moved.kinds == {"score": 1}
    assert 0 < moved.score <= 1


def test_of_several_that_overlap_the_one_with_the_same_label_belongs_together():
    first, second = align([("PER", 0, 10)], [("ORG", 0, 9), ("PER", 8, 12)])
    assert (first.stable, first.candidate) == (("PER", 0, 10), ("PER", 8, 12)) or second.stable is not None
    assert {first.kinds, second.kinds} == {("boundary",), ("extra",)}


@given(SPANS, SPANS)
def test_every_span_is_matched_once(stable, candidate):
    matches = align(stable, candidate)
    assert sorted(m.stable for m in matches if m.stable) == sorted(stable)
    assert sorted(m.candidate for m in matches if m.candidate) == sorted(candidate)


@given(SPANS, SPANS)
def test_who_is_stable_only_turns_missing_into_extra(stable, candidate):
    there = compare(entities(*stable), entities(*candidate), RULES)
    back = compare(entities(*candidate), entities(*stable), RULES)
    assert there.is_none is back.is_none is (sorted(stable) == sorted(candidate))
    assert sum(there.kinds.get(k, 0) for k in ("missing", "extra")) >= abs(len(stable) - len(candidate))
