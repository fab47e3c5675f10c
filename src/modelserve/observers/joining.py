"""Shadow answers by request id: which halves belong together, which wait, which were given up."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

PATIENCE = 20
"""Readings after which a candidate's answer without its partner is dropped."""
REPEAT_PATIENCE = 6
"""Readings for which a pair waits for stable's second answer."""
MAX_PENDING = 512
"""Answers that may wait; the oldest go first."""

Logged = Mapping[str, Any]
"""An entry of an answer log; see ``serving.schemas.SampledAnswer``."""


@dataclass(frozen=True, slots=True)
class Joined:
    """Both versions' answers to one request, and stable's second one if there is one."""

    stable: Logged
    candidate: Logged
    repeat: Logged | None = None


def join(
    found: Iterable[Logged], waiting: Iterable[dict[str, Any]], repeats: bool
) -> tuple[list[Joined], list[dict[str, Any]], int]:
    """Pair what waits with stable's answers: pairs, what goes on waiting, and how many were given up.

    Requests of which two have the same id can't be told apart, and pair with nothing. With ``repeats`` a pair
    waits a little for stable's second answer.
    """
    partners, entries = _by_id(found), list(waiting)
    asked = Counter(entry["answer"]["id"] for entry in entries)
    joined: list[Joined] = []
    pending: list[dict[str, Any]] = []
    unmatched = 0
    for entry in entries:
        mine, age = entry["answer"], entry["age"] + 1
        originals, copies = partners[mine["id"]]
        if len(originals) > 1 or len(copies) > 1 or asked[mine["id"]] > 1:
            unmatched += 1
        elif originals and (copies or not repeats or age >= REPEAT_PATIENCE):
            joined.append(Joined(originals[0], mine, copies[0] if copies else None))
        elif age < PATIENCE:
            pending.append({"age": age, "answer": mine})
        else:
            unmatched += 1
    unmatched += max(0, len(pending) - MAX_PENDING)
    return joined, pending[-MAX_PENDING:], unmatched


def _by_id(found: Iterable[Logged]) -> defaultdict[str, tuple[list[Logged], list[Logged]]]:
    """Stable's answers to clients, and those to copies. A failed try at a request that was then answered
    elsewhere is left out."""
    partners: defaultdict[str, tuple[list[Logged], list[Logged]]] = defaultdict(lambda: ([], []))
    for answer in found:
        originals, copies = partners[answer["id"]]
        kind = copies if answer["arm"] == "shadow" else originals
        if kind and kind[-1]["answer"] is None:
            kind.pop()
        if not kind or answer["answer"] is not None:
            kind.append(answer)
    return partners
