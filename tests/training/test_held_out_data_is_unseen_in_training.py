"""No name and no template is on both sides of the split."""

import pytest

pytest.importorskip("faker")

from training.ner.data import Writer, read_templates
from training.ner.names import LANGUAGES, pools
from training.ner.rows import Row

KINDS = ("first", "last", "city", "country", "brand", "acronym")


@pytest.mark.parametrize("language", LANGUAGES)
def test_templates_are_on_one_side(language: str) -> None:
    train, held_out = read_templates(language, "train"), read_templates(language, "held-out")
    assert held_out.sentences
    assert not set(train.sentences) & set(held_out.sentences)
    assert not set(train.closers) & set(held_out.closers)


@pytest.mark.parametrize("kind", KINDS)
def test_names_are_on_one_side_in_all_languages(kind: str) -> None:
    train, held_out = (
        {name for pool in pools(side).values() for name in getattr(pool, kind)}
        for side in ("train", "held-out")
    )
    assert held_out
    assert not train & held_out


def test_the_reference_rows_are_made_of_held_out_templates(held_out: list[Row]) -> None:
    seen = {row.text for row in Writer("train", seed=5).rows(2000)}
    assert not seen & {row.text for row in held_out}


def test_offsets_fit_what_the_writer_writes() -> None:
    for row in Writer("train", seed=5, noise=0.5).rows(300):
        assert all(row.text[e.start : e.end] == e.text for e in row.entities)
        assert ".." not in row.text
