from __future__ import annotations

from collections.abc import Callable

import pytest

from modelserve.errors import InvalidSpec
from modelserve.manifest import parse_all


@pytest.fixture
def complaints() -> Callable[[str], list[str]]:
    """What is wrong with a text, line by line; fails where nothing is."""

    def find(text: str) -> list[str]:
        with pytest.raises(InvalidSpec) as caught:
            parse_all(text, "ner.yaml")
        return caught.value.message.splitlines()

    return find
