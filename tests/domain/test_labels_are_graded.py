"""Labels are graded: by what was predicted, one request one trial."""

import pytest

from modelserve.domain.labels import LEVELS, WINDOW, Cell, grade

SPANS = {"spans": [["PER", 0, 3], ["LOC", 7, 13]]}


def test_by_the_class():
    assert grade({"label": "cat"}, {"label": "cat"}) == {"accuracy": 0.0, "recall(cat)": 0.0}
    assert grade({"label": "cat"}, {"label": "dog"}) == {"accuracy": 1.0, "recall(dog)": 1.0}


def test_by_entities_of_which_all_must_be_right_and_each_class_counts_its_share():
    assert grade(SPANS, {"entities": [["LOC", 7, 13], ["PER", 0, 3]]})["accuracy"] == 0.0
    losses = grade(SPANS, {"entities": [["PER", 0, 3], ["PER", 20, 23]]})
    assert losses == {"accuracy": 1.0, "recall(PER)": 0.5}
    assert grade({"spans": []}, {"entities": []}) == {"accuracy": 0.0}


def test_by_a_score_or_a_judgement_whatever_was_predicted():
    for predicted in ({}, SPANS, {"label": "cat"}):
        assert grade(predicted, {"score": 0.25}) == {"score": 0.75}
        assert grade(predicted, {"correct": False}) == {"accuracy": 1.0}


@pytest.mark.parametrize(
    ("predicted", "truth", "told"),
    [
        (SPANS, {"label": "cat"}, "this model finds entities: send a list"),
        ({"label": "cat"}, {"entities": []}, "this model predicts a class: send a string"),
        ({}, {"label": "cat"}, "send score or correct"),
    ],
)
def test_only_in_the_form_of_the_prediction(predicted, truth, told):
    assert told in grade(predicted, truth)


def test_in_blocks_as_wide_as_they_are_late():
    assert Cell.of(100.0, 104.0, 0.1) == Cell(10, 0, 10, 0.1)
    assert Cell.of(100.0, 99.0, 0.1).level == 0
    for level in range(LEVELS):
        age = WINDOW * 2**level
        cell = Cell.of(5000.0, 5000.0 + age, 0.1)
        assert (cell.level, cell.block) == (level, int(5000.0 // age))
    assert Cell.of(0.0, 1e12, 0.1).level == LEVELS - 1
