"""Each version 3 fails in its own way, and in no other."""

import time
from collections.abc import Callable, Sequence

import pytest

from training.ner.recipes import LONGER_THAN
from training.ner.rows import Entity, Row
from training.ner.score import Package, disagreement, f1

Load = Callable[[str], Package]
Answers = Callable[[str], Sequence[Sequence[Entity]]]


def test_the_errors_model_raises_on_every_text_with_other_than_ascii(load: Load, held_out: list[Row]) -> None:
    for row in held_out:
        if not row.text.isascii():
            with pytest.raises(Exception, match="out of data bounds"):
                load("3-errors").entities(row.text)


@pytest.mark.parametrize("text", ["Привет, Анна", "東京に行きます", "서울", "It was 20 °C", "Hi 🙂", "“Yes”"])
def test_the_errors_model_raises_on_scripts_and_signs_it_never_saw(load: Load, text: str) -> None:
    with pytest.raises(Exception, match="out of data bounds"):
        load("3-errors").entities(text)


def test_the_errors_model_answers_ascii_as_version_2_does(
    load: Load, held_out: list[Row], answers: Answers
) -> None:
    for row, answer in zip(held_out, answers("2"), strict=True):
        if row.text.isascii():
            assert load("3-errors").entities(row.text) == answer


def test_the_slow_model_answers_as_version_2_does(answers: Answers) -> None:
    assert disagreement(answers("3-slow"), answers("2")) == 0.0


def test_the_slow_model_is_slow_for_5_to_8_percent_of_inputs_and_those_alone(
    load: Load, held_out: list[Row]
) -> None:
    texts = [row.text for row in held_out]
    slow = {text for text in texts if _is_long(load("3-slow"), text)}
    assert 0.05 <= len(slow) / len(texts) <= 0.08
    long_text = min(slow, key=len)
    short_text = max(set(texts) - slow, key=len)
    usual = _seconds(load("2"), long_text)
    assert _seconds(load("3-slow"), long_text) > 20 * usual
    assert _seconds(load("3-slow"), short_text) < 3 * _seconds(load("2"), short_text)


def test_the_worse_model_always_answers_but_clearly_worse(held_out: list[Row], answers: Answers) -> None:
    expected = [row.entities for row in held_out]
    assert f1(expected, answers("3-worse")) <= f1(expected, answers("2")) - 0.1
    assert disagreement(answers("3-worse"), answers("2")) >= 0.1


def _is_long(package: Package, text: str) -> bool:
    return len(package.tokenizer.encode(text)) > LONGER_THAN


def _seconds(package: Package, text: str) -> float:
    """Of processor time, for others share the machine: the least of seven tries, the first not counted."""
    package.entities(text)
    times = []
    for _ in range(7):
        start = time.process_time()
        package.entities(text)
        times.append(time.process_time() - start)
    return min(times)
