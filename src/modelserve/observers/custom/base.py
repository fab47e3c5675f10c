"""Port within the port: custom sources, one adapter per kind of place that figures come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

LONGEST = 200
"""Characters of what a source said that are passed on."""


@dataclass(frozen=True, slots=True)
class Arm:
    """Whom a source is asked about."""

    service: str
    revision: str
    arm: str
    """``stable``, ``candidate``, or ``shadow`` while the candidate gets copies."""

    @property
    def names(self) -> dict[str, str]:
        return {"service": self.service, "revision": self.revision, "arm": self.arm}


@dataclass(frozen=True, slots=True)
class Count:
    """How many there were so far, and how many of them were bad, or the sum of their values."""

    total: float
    bad: float


@dataclass(frozen=True, slots=True)
class Nothing:
    """No data, and why: a sentence that goes on after the source's name."""

    why: str


Told = Count | float | Nothing


class NoData(Exception):
    """What :class:`Nothing` says, on its way out of an adapter."""


class CustomSource(Protocol):
    interval: float
    """Seconds between the ends of two looks."""
    patience: float
    """Seconds that one look may take."""

    @property
    def where(self) -> str:
        """How people call it, without secrets."""

    async def read(self, arms: Sequence[Arm]) -> list[Told]:
        """What it tells of each arm, all at about the same time. Raises NoData that holds for all."""


def brief(text: str) -> str:
    """What a source said, on one line and not too long."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * LONGEST]).split())
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"
