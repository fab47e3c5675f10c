"""A sentence with its entities, and the BIO labels that stand for them.

Offsets count Unicode code points of the original text; `end` is exclusive.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

LABELS = ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC")
MAX_LENGTH = 128  # tokens, the two special ones included


@dataclass(frozen=True)
class Entity:
    """One name in a text; `label` is PER, ORG or LOC."""

    text: str
    label: str
    start: int
    end: int


@dataclass(frozen=True)
class Row:
    """One text with the entities in it, in order."""

    text: str
    entities: tuple[Entity, ...]

    def as_json(self) -> dict[str, Any]:
        """The shape of a line of reference.jsonl."""
        return {"text": self.text, "entities": [asdict(entity) for entity in self.entities]}

    @staticmethod
    def from_json(value: dict[str, Any]) -> "Row":
        """The reverse of `as_json`."""
        return Row(value["text"], tuple(Entity(**entity) for entity in value["entities"]))


def token_labels(row: Row, offsets: Sequence[tuple[int, int]]) -> list[int]:
    """Label ids for tokens with these (start, end) offsets; B on the first token of an entity."""
    ids = []
    for start, end in offsets:
        inside = (e for e in row.entities if start < end and e.start <= start and end <= e.end)
        entity = next(inside, None)
        if entity is None:
            ids.append(0)
        else:
            ids.append(LABELS.index(("B-" if start == entity.start else "I-") + entity.label))
    return ids
