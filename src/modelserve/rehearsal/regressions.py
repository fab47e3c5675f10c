"""What is wrong with a simulated candidate, as people write it: ``errors 1%``, ``p99 +50% after 300s``.

Several things are divided by commas: ``errors 1%, p50 +20%``. ``none``: it behaves as stable does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from modelserve.domain.quantities import parse_duration, parse_percent
from modelserve.errors import InvalidInput

KNOWN = '"none", "errors 1%", "p50 +20%", "p99 +50%" or "answers 10%", with "after 300s" if it starts late'
_AFTER = re.compile(r"^(.*\S)\s+after\s+(\S+)$")
_PART = re.compile(r"^(errors|answers)\s+([0-9.]+%)$|^(p50|p99)\s+\+([0-9.]+%)$")


@dataclass(frozen=True, slots=True)
class Regression:
    """How the candidate differs from stable, from ``after`` seconds on; None: not at all."""

    text: str
    errors: float | None = None
    """Its chance of a failure, in 0..1."""
    p50: float | None = None
    """How much slower all of its answers are: 0.2 is 20 %."""
    p99: float | None = None
    """How much higher its 99th percentile is."""
    answers: float | None = None
    """Share of shadow pairs in which it answers differently, in 0..1."""
    after: float = 0.0

    @property
    def harmless(self) -> bool:
        return (self.errors, self.p50, self.p99, self.answers) == (None,) * 4


def parse_regression(text: str) -> Regression:
    """Raises InvalidInput that shows how it is written."""
    told = " ".join(text.split())
    late = _AFTER.fullmatch(told)
    body, after = (late[1], _duration(told, late[2])) if late else (told, 0.0)
    found = Regression(told, after=after)
    if body == "none" and not late:
        return found
    for part in body.split(","):
        name, share = _part(told, part.strip())
        if getattr(found, name) is not None:
            raise InvalidInput(f"--regression: got {told!r}; say {name} once")
        changed: dict[str, Any] = {name: share}
        found = replace(found, **changed)
    return found


def _part(told: str, part: str) -> tuple[str, float]:
    match = _PART.fullmatch(part)
    if match is None:
        raise InvalidInput(f"--regression: got {told!r}; write {KNOWN}")
    name, written = match[1] or match[3], match[2] or match[4]
    try:
        share = parse_percent(written)
    except ValueError as error:
        raise InvalidInput(f"--regression: got {told!r}; {error}") from None
    most = 1.0 if match[1] else 100.0
    if share > most:
        raise InvalidInput(f"--regression: got {told!r}; {name} can be at most {most * 100:.0f}%")
    return name, share


def _duration(told: str, written: str) -> float:
    try:
        return parse_duration(written)
    except ValueError as error:
        raise InvalidInput(f"--regression: got {told!r}; {error}") from None
