"""The scoring function itself, on cases small enough to check by hand."""

from pathlib import Path

import pytest
from tokenizers import Tokenizer

from training.ner.rows import LABELS, Entity, Row, token_labels
from training.ner.score import decode, disagreement, f1, f1_of_label

ANNA = Entity("Anna", "PER", 0, 4)
ROME = Entity("Rome", "LOC", 15, 19)


def test_all_right_is_one_and_all_wrong_is_zero() -> None:
    assert f1([[ANNA, ROME]], [[ANNA, ROME]]) == 1.0
    assert f1([[ANNA]], [[ROME]]) == 0.0
    assert f1([[]], [[]]) == 0.0


def test_one_of_two_found_is_two_thirds() -> None:
    assert f1([[ANNA, ROME]], [[ANNA]]) == pytest.approx(2 / 3)


@pytest.mark.parametrize("wrong", [Entity("Anna", "ORG", 0, 4), Entity("Ann", "PER", 0, 3)])
def test_a_wrong_label_or_a_wrong_end_counts_as_not_found(wrong: Entity) -> None:
    assert f1([[ANNA]], [[wrong]]) == 0.0


def test_a_label_can_be_scored_alone() -> None:
    assert f1_of_label("PER", [[ANNA, ROME]], [[ANNA]]) == 1.0
    assert f1_of_label("LOC", [[ANNA, ROME]], [[ANNA]]) == 0.0


def test_disagreement_counts_texts_not_entities() -> None:
    assert disagreement([[ANNA, ROME], [ANNA]], [[], [ANNA]]) == 0.5


def test_decoding_the_right_labels_gives_the_right_entities(models: Path, held_out: list[Row]) -> None:
    tokenizer = Tokenizer.from_file(str(models / "bert-ner-2" / "tokenizer.json"))
    for row in held_out:
        encoding = tokenizer.encode(row.text)
        assert decode(row.text, encoding, token_labels(row, encoding.offsets)) == row.entities


def test_two_entities_side_by_side_stay_two(models: Path) -> None:
    tokenizer = Tokenizer.from_file(str(models / "bert-ner-2" / "tokenizer.json"))
    row = Row("Anna Rome", (ANNA, Entity("Rome", "PER", 5, 9)))
    encoding = tokenizer.encode(row.text)
    labels = token_labels(row, encoding.offsets)
    assert [LABELS[i] for i in labels].count("B-PER") == 2
    assert decode(row.text, encoding, labels) == row.entities
