"""The bundled packages, loaded once for all tests here. None of these tests needs torch."""

import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from training.ner.cards import answered  # noqa: E402
from training.ner.rows import Entity, Row  # noqa: E402
from training.ner.score import Package, reference_rows  # noqa: E402

Answers = list[tuple[Entity, ...]]


@pytest.fixture(scope="session")
def models() -> Path:
    """The folder of the packages."""
    return ROOT / "models"


@pytest.fixture(scope="session")
def load(models: Path) -> Callable[[str], Package]:
    """A NER package by its version, loaded once."""
    return cache(lambda version: Package(models / f"bert-ner-{version}"))


@pytest.fixture(scope="session")
def held_out(models: Path) -> list[Row]:
    """The reference rows that the NER packages share; 3-errors has a part of them."""
    return reference_rows(models / "bert-ner-2")


@pytest.fixture(scope="session")
def answers(load: Callable[[str], Package], held_out: list[Row]) -> Callable[[str], Answers]:
    """A NER version's answers to all reference rows; none for a row that fails in 3-errors."""
    return cache(lambda version: answered(load(version), held_out, skip_errors=version == "3-errors"))
