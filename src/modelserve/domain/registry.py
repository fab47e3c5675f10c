"""The model registry: models under names, each in numbered versions, with aliases that people move."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

MODEL_NAME = r"^[a-z]([a-z0-9-]{0,62}[a-z0-9])?$"
ALIAS = r"^[a-z]([a-z0-9_-]{0,62}[a-z0-9])?$"

_REFERENCE = re.compile(r"([a-z][a-z0-9-]{0,63})(?:/([1-9][0-9]{0,8})|@([a-z][a-z0-9_-]{0,63}))")


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One artefact under a name. Nothing of it ever changes, and its number is never used again."""

    model: str
    number: int
    digest: str
    """Of the artefact."""
    uri: str
    """Where it came from."""
    created: float
    """Unix seconds."""
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)

    @property
    def reference(self) -> str:
        """The ``model.uri`` that names it."""
        return f"models:/{self.model}/{self.number}"


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    """A name with all that stands under it."""

    name: str
    versions: tuple[ModelVersion, ...] = ()
    """By number, ascending."""
    aliases: Mapping[str, int] = field(default_factory=dict)
    """Number of the version that each alias points to."""

    def version(self, number: int) -> ModelVersion | None:
        return next((version for version in self.versions if version.number == number), None)


@dataclass(frozen=True, slots=True)
class Reference:
    """``models:/NAME/NUMBER`` or ``models:/NAME@ALIAS``: exactly one of ``number`` and ``alias`` is set."""

    model: str
    number: int | None = None
    alias: str | None = None


def parse_reference(path: str) -> Reference | None:
    """What stands after ``models:/``; None if it has another form."""
    found = _REFERENCE.fullmatch(path)
    if found is None:
        return None
    model, number, alias = found.groups()
    return Reference(model, int(number) if number else None, alias)
