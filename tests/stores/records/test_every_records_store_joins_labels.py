"""Every records store joins labels: with their predictions, once, whichever came first."""

import random
from collections import Counter
from itertools import permutations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelserve.domain.labels import Cell, Label, LabelState, Prediction, ShadowPrediction
from modelserve.domain.rollouts import LabelledPairs
from modelserve.errors import NotFound

FIRST = Cell(-1, 0, 0, 0.0)


def made(number: int, label: str = "cat", **fields) -> Prediction:
    told = {"revision": "ner-00001", "arm": "stable", "at": 1000.0 + number, "weight": 0.5}
    return Prediction(f"r{number}", predicted={"label": label}, **told | fields)


def truth(number: int, label: str = "cat") -> Label:
    return Label(f"r{number}", {"label": label})


def states(answers):
    return [answer.state.value for answer in answers]


def cells(records, service="ner", before=10**6):
    """Everything that was counted, in the order in which an observer reads it."""
    after, found = FIRST, []
    while (step := records.next_cell(service, after, before)) is not None:
        after = step[0]
        found.append(step)
    return found


def total(records, metric="accuracy", part=""):
    counts = [c for _, all_ in cells(records) for c in all_ if (c.metric, c.part) == (metric, part)]
    return sum(c.n for c in counts), sum(c.bad for c in counts)


def test_a_label_after_its_prediction(records):
    records.add_predictions("ner", [made(1), made(2)], 1003.0)
    answers = records.add_labels("ner", [truth(1), truth(2, "dog"), truth(3)], 1010.0, 10)
    assert states(answers) == ["accepted", "accepted", "unknown"]
    assert total(records) == (2, 1.0)
    assert total(records, "recall(dog)") == (1, 1.0)


def test_a_label_before_its_prediction(records):
    assert states(records.add_labels("ner", [truth(1, "dog"), truth(2)], 1000.5, 10)) == ["unknown"] * 2
    assert (total(records), records.waiting_labels()) == ((0, 0), 2)
    records.add_predictions("ner", [made(1)], 1003.0)
    assert (total(records), records.waiting_labels()) == ((1, 1.0), 1)
    assert records.label_sums("ner").states == {"accepted": 1, "unknown": 1}


def test_the_same_label_once_and_the_first_of_two(records):
    records.add_predictions("ner", [made(1)], 1003.0)
    assert states(records.add_labels("ner", [truth(1), truth(1)], 1010.0, 10)) == ["accepted", "duplicate"]
    answer = records.add_labels("ner", [truth(1, "dog")], 1011.0, 10)[0]
    assert answer.state is LabelState.CONTRADICTING
    assert "'label': 'cat'" in answer.detail
    assert total(records) == (1, 0.0)


def test_no_id_that_two_requests_had(records):
    records.add_predictions("ner", [made(1), made(1), made(2)], 1003.0)
    records.add_predictions("ner", [made(2), made(1, at=2000.0)], 1004.0)
    assert states(records.add_labels("ner", [truth(1), truth(2)], 1010.0, 10)) == ["ambiguous", "accepted"]
    assert total(records) == (1, 0.0)


def test_an_unfit_label_that_is_put_right(records):
    records.add_predictions("ner", [made(1)], 1003.0)
    wrong, right = Label("r1", {"entities": []}), Label("r1", {"correct": True})
    assert states(records.add_labels("ner", [wrong, right], 1010.0, 10)) == ["unfit", "accepted"]
    early = [Label("r9", {"entities": []})]
    records.add_labels("ner", early, 1010.0, 10)
    records.add_predictions("ner", [made(9)], 1020.0)
    assert records.label_sums("ner").states == {"accepted": 1, "unfit": 1}
    assert states(records.add_labels("ner", [truth(9)], 1030.0, 10)) == ["accepted"]


def test_parts_and_weights_apart(records):
    told = [made(1, parts={"tenant": "a"}), made(2, "dog", parts={"tenant": "b"}, weight=0.1)]
    records.add_predictions("ner", told, 1003.0)
    records.add_labels("ner", [truth(1), truth(2)], 1010.0, 10)
    assert total(records, part="tenant=b") == (1, 1.0)
    assert [cell.weight for cell, _ in cells(records)] == [0.1, 0.5]


def test_as_many_that_wait_as_there_is_room_for(records):
    answers = records.add_labels("ner", [truth(1), truth(2), truth(3)], 1010.0, 2)
    assert [a.detail.startswith("kept") for a in answers] == [True, True, False]
    assert records.waiting_labels() == 2


def test_nothing_of_a_service_that_is_not_there(records):
    with pytest.raises(NotFound, match="no service 'nobody'"):
        records.add_predictions("nobody", [made(1)], 1.0)
    with pytest.raises(NotFound, match="no service 'nobody'"):
        records.add_labels("nobody", [truth(1)], 1.0, 1)


def prune(records, *bounds):
    while records.prune_labels(*bounds):
        pass


def forget(records):
    """The service is deleted and made anew."""
    records.delete_service("ner")
    while records.forget_labels("ner"):
        pass
    records.put_service("ner", {}, None)


def test_until_they_are_too_old_or_too_many(records):
    records.add_predictions("ner", [made(number) for number in range(10)], 1010.0)
    records.add_labels("ner", [truth(0), truth(1), truth(99)], 1010.0, 10)
    prune(records, 1001.5, 1000.0, 6, 0)
    sums = records.label_sums("ner")
    assert (sums.predictions, sums.oldest, sums.newest) == (6, 1004.0, 1009.0)
    assert sums.states == {"accepted": 2, "unknown": 1}
    prune(records, 1001.5, 1011.0, 6, 102)
    assert records.label_sums("ner").states == {"accepted": 2}
    assert cells(records) == []


def test_no_longer_than_the_predictions_that_they_may_be_about(records):
    records.add_predictions("ner", [made(number) for number in range(10)], 1010.0)
    records.add_labels("ner", [truth(0)], 1003.0, 10)
    records.add_labels("ner", [truth(1)], 1004.0, 10)
    prune(records, 0.0, 0.0, 6, 0)
    assert records.label_sums("ner").states == {"accepted": 1}


def test_nothing_of_a_service_that_is_gone(records):
    records.add_predictions("ner", [made(1)], 1003.0)
    records.add_labels("ner", [truth(1)], 1010.0, 10)
    records.put_service("other", {}, None)
    records.add_predictions("other", [made(1)], 1003.0)
    assert records.forget_labels("other") == 0, "it is there"
    records.delete_service("other")
    assert records.forget_labels("other") == 1
    records.delete_service("ner")
    prune(records, 0.0, 0.0, 100, 0)
    assert (records.label_sums("ner").predictions, cells(records)) == (0, [])


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["predict", "label"]), st.integers(0, 6), st.sampled_from(["cat", "dog", "eel"])
    ),
    max_size=40,
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=EVENTS, seed=st.integers(0, 2**16))
def test_the_same_whatever_the_order_of_what_comes(records, events, seed):
    """Each id's first label and only prediction count, once, in any batches, in any order of the two."""
    forget(records)
    predictions = {number: label for kind, number, label in reversed(events) if kind == "predict"}
    first: dict[int, str] = {}
    clock, dice, left = 1000.0, random.Random(seed), list(events)
    told = Counter()
    while left:
        batch = [left.pop(0) for _ in range(min(len(left), dice.randint(1, 5)))]
        clock += dice.choice([0.5, 20.0])
        known = [made(n, predictions[n]) for kind, n, _ in batch if kind == "predict"]
        if known:
            records.add_predictions("ner", known, clock)
        labels = [(n, label) for kind, n, label in batch if kind == "label"]
        answers = records.add_labels("ner", [truth(*each) for each in labels], clock, 100)
        for (number, label), answer in zip(labels, answers, strict=True):
            expected = first.setdefault(number, label)
            assert (answer.state is LabelState.CONTRADICTING) == (label != expected)
            told[answer.state] += 1
    joined = [number for number in first if number in predictions]
    wrong = sum(first[number] != predictions[number] for number in joined)
    assert total(records) == (len(joined), wrong)
    assert told[LabelState.ACCEPTED] + told[LabelState.UNKNOWN] == len(first)


def copied(number: int, label: str = "cat", revision: str = "ner-00002") -> ShadowPrediction:
    return ShadowPrediction(f"r{number}", revision, 1000.5 + number, {"label": label})


def pairs(records, metric="accuracy", revision="ner-00002"):
    """The sums of all windows, in the order in which an observer reads them."""
    after, found = -1, LabelledPairs()
    while (step := records.next_labelled_pairs("ner", revision, after, 10**6)) is not None:
        after = step[0]
        found = found.add(step[1].get(metric, LabelledPairs()))
    return found


@pytest.mark.parametrize("order", [*permutations(["answer", "copy", "label"])])
def test_a_shadow_pair_once_whichever_of_its_parts_came_last(records, order):
    steps = {
        "answer": lambda: records.add_predictions("ner", [made(1), made(2), made(3, "dog")], 1003.0),
        "copy": lambda: records.add_shadow_predictions(
            "ner", [copied(1, "dog"), copied(2), copied(3)], 1004.0
        ),
        "label": lambda: records.add_labels("ner", [truth(1), truth(2), truth(3)], 1005.0, 10),
    }
    for part in order:
        steps[part]()
    expected = LabelledPairs(both_right=1, stable_right=1, candidate_right=1)
    assert (pairs(records), pairs(records, "recall(cat)")) == (expected, expected)
    for part in order:
        steps[part]()
    assert pairs(records) == expected
    assert total(records) == (3, 1.0)
    assert records.label_sums("ner").predictions == 3


def test_a_shadow_pair_in_the_window_in_which_it_was_complete(records):
    records.add_predictions("ner", [made(1), made(2)], 1003.0)
    records.add_shadow_predictions("ner", [copied(1), copied(2, "dog")], 1004.0)
    records.add_labels("ner", [truth(1)], 1015.0, 10)
    records.add_labels("ner", [truth(2)], 1025.0, 10)
    assert records.next_labelled_pairs("ner", "ner-00002", 100, 102) == (
        101,
        {"accuracy": LabelledPairs(both_right=1), "recall(cat)": LabelledPairs(both_right=1)},
    )
    assert records.next_labelled_pairs("ner", "ner-00002", 101, 102) is None
    assert records.next_labelled_pairs("ner", "ner-00002", 101, 103)[1]["accuracy"].stable_right == 1


def test_no_shadow_pair_of_what_one_answer_alone_was_told(records):
    """Whether stable's answer was right, and how good it was, says nothing of the candidate's."""
    records.add_predictions("ner", [made(n) for n in (1, 2, 3, 4)], 1003.0)
    told = [
        Label("r1", {"correct": True}), Label("r2", {"score": 0.5}), Label("r3", {"entities": []}), truth(4)
    ]  # fmt: skip
    records.add_labels("ner", told, 1004.0, 10)
    records.add_shadow_predictions("ner", [copied(n) for n in (1, 2, 3)], 1005.0)
    records.add_shadow_predictions("ner", [copied(4, revision="ner-00001")], 1005.0)  # stable's own copy
    assert pairs(records) == pairs(records, revision="ner-00001") == LabelledPairs()


def test_no_shadow_pair_of_an_id_that_two_requests_had(records):
    records.add_predictions("ner", [made(1), made(1, at=2000.0)], 1003.0)
    records.add_shadow_predictions("ner", [copied(1, "dog"), copied(1, "dog")], 1004.0)
    assert states(records.add_labels("ner", [truth(1)], 1005.0, 10)) == ["ambiguous"]
    records.add_predictions("ner", [made(2)], 1006.0)
    assert states(records.add_labels("ner", [truth(2)], 1007.0, 10)) == ["accepted"]
    records.add_predictions("ner", [made(2, at=2000.0)], 1008.0)
    records.add_shadow_predictions("ner", [copied(2)], 1009.0)
    assert pairs(records) == LabelledPairs()


def test_shadow_pairs_are_forgotten_like_the_rest(records):
    records.add_predictions("ner", [made(1)], 1003.0)
    records.add_shadow_predictions("ner", [copied(1)], 1004.0)
    records.add_labels("ner", [truth(1)], 1005.0, 10)
    forget(records)
    assert pairs(records) == LabelledPairs()
    records.add_shadow_predictions("ner", [copied(1)], 1004.0)
    while records.prune_labels(5000.0, 5000.0, 10, 500):
        pass
    records.add_predictions("ner", [made(1)], 5003.0)
    records.add_labels("ner", [truth(1)], 5004.0, 10)
    assert pairs(records) == LabelledPairs()


def test_shadow_predictions_of_no_service(records):
    with pytest.raises(NotFound, match="nobody"):
        records.add_shadow_predictions("nobody", [copied(1)], 1004.0)
