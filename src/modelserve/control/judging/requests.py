"""What somebody sends to the judge, read with care: a mistake is told by field, value and what is right."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import Any

from fastapi import Request

from modelserve.control.bodies import read_at_most
from modelserve.control.judging.judgements import Seen, counts_of
from modelserve.control.judging.prometheus import Queries
from modelserve.domain.quantities import parse_duration, parse_percent
from modelserve.errors import InvalidInput
from modelserve.judge.streams import Increment

MAX_BYTES = 256 * 1024
Json = dict[str, Any]
COUNTED = ("increments", "totals")


@dataclass(frozen=True, slots=True)
class Asked:
    """One question to the judge."""

    settings: Json | None = None
    stable: Any = None
    candidate: Any = None
    counts: str = "increments"
    weight: Any = None
    seconds: Any = None
    hard_failure: str = ""
    evidence: str = ""
    prometheus: Any = None
    version: str = ""

    @property
    def queries(self) -> Queries | None:
        return None if self.prometheus is None else Queries.of(self.prometheus, "prometheus")

    def seen(self) -> Seen:
        """Raises InvalidInput for counts, a weight or a time that can't be."""
        weight = _weight(self.weight)
        stable, candidate = counts_of(self.stable, "stable"), counts_of(self.candidate, "candidate")
        seconds = None if self.seconds is None else _seconds(self.seconds)
        Increment(stable, candidate, seconds or 0.0, weight)  # refuses before anything is looked up
        return Seen(stable, candidate, self.counts == "totals", seconds, weight, self.hard_failure)


async def document(request: Request) -> Json:
    """The body as a JSON object. Raises InvalidInput, PayloadTooLarge."""
    body = await read_at_most(request, MAX_BYTES, "the limit for a question to the judge")
    try:
        told = json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"the body is not JSON: {error}") from None
    if not isinstance(told, dict):
        raise InvalidInput(f"the body: got {type(told).__name__}; write a JSON object")
    return told


async def asked(request: Request) -> Asked:
    told = await document(request)
    known = {field.name.replace("hard_failure", "hardFailure"): field.name for field in fields(Asked)}
    if unknown := sorted(set(told) - set(known)):
        raise InvalidInput(f"{unknown[0][:80]}: is no field; there are {', '.join(known)}")
    given = Asked(**{known[name]: value for name, value in told.items()})
    for name in ("evidence", "version", "hard_failure"):
        if not isinstance(value := getattr(given, name), str) or len(value) > MAX_BYTES:
            raise InvalidInput(f"{name}: got {str(value)[:80]!r}; write a text")
    if given.settings is not None and not isinstance(given.settings, dict):
        raise InvalidInput(f"settings: got {str(given.settings)[:80]!r}; write an object")
    if given.counts not in COUNTED:
        raise InvalidInput(f"counts: got {str(given.counts)[:80]!r}; write {' or '.join(COUNTED)}")
    if given.prometheus is not None and (given.stable is not None or given.candidate is not None):
        raise InvalidInput("prometheus: send either queries, or the counts themselves")
    return given


def _weight(told: Any) -> Any:
    """A share as ``"10%"`` or as a number in 0..1."""
    if not isinstance(told, str):
        return told
    try:
        return parse_percent(told)
    except ValueError as error:
        raise InvalidInput(f"weight: got {told[:80]!r}; {error}") from None


def _seconds(told: Any) -> Any:
    """A time as ``"30s"`` or as a number of seconds."""
    if not isinstance(told, str):
        return told
    try:
        return parse_duration(told)
    except ValueError as error:
        raise InvalidInput(f"seconds: got {told[:80]!r}; {error}") from None
