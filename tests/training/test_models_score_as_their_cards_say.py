"""A card's score is measured again from the files beside it; version 2 is the better one."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from training.digits import score as digits
from training.ner.rows import Entity, Row
from training.ner.score import f1
from training.packages import stated_score

Answers = Sequence[Sequence[Entity]]
SLACK = 0.003  # another processor may round one close call the other way


def ner_f1(held_out: list[Row], answers: Answers) -> float:
    return f1([row.entities for row in held_out], answers)


@pytest.mark.parametrize("version", ["1", "2", "3-errors", "3-slow", "3-worse"])
def test_a_ner_model_scores_as_its_card_says(
    models: Path, held_out: list[Row], answers: Callable[[str], Answers], version: str
) -> None:
    stated = stated_score(models / f"bert-ner-{version}")
    assert ner_f1(held_out, answers(version)) == pytest.approx(stated, abs=SLACK)


@pytest.mark.parametrize("version", ["1", "2"])
def test_an_image_model_scores_as_its_card_says(models: Path, version: str) -> None:
    assert digit_accuracy(models, version) == pytest.approx(
        stated_score(models / f"resnet-digits-{version}"), abs=SLACK
    )


def test_the_second_ner_model_is_clearly_better_than_the_first(
    held_out: list[Row], answers: Callable[[str], Answers]
) -> None:
    assert ner_f1(held_out, answers("2")) >= ner_f1(held_out, answers("1")) + 0.03


def test_the_second_image_model_is_clearly_better_than_the_first(models: Path) -> None:
    assert digit_accuracy(models, "2") >= digit_accuracy(models, "1") + 0.03


def digit_accuracy(models: Path, version: str) -> float:
    folder = models / f"resnet-digits-{version}"
    images, labels = digits.reference_rows(folder)
    return digits.accuracy(labels, digits.Package(folder).labels(images))
