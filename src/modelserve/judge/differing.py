"""What is said of shadow answers that differ."""

from __future__ import annotations

from collections.abc import Mapping

from modelserve.judge.pairs import Pairs
from modelserve.judge.words import count, percent


def differed(pairs: Pairs) -> str:
    """``"12 of 200 shadow pairs differed (6 %: boundary 8, type 4)"``, and stable's own noise if known."""
    share = percent(pairs.disagreements / pairs.pairs) if pairs.pairs else "none"
    kinds = f": {by_kind(pairs.kinds)}" if pairs.kinds else ""
    said = f"{pairs.disagreements:,} of {count(pairs.pairs, 'shadow pair')} differed ({share}{kinds})"
    if pairs.repeats is None:
        return said
    return f"{said}, stable differed from itself in {pairs.noise:,} of {pairs.repeats:,}"


def by_kind(kinds: Mapping[str, int]) -> str:
    """``"boundary 8, type 4"``: the most frequent first."""
    ordered = sorted(kinds.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{kind} {number:,}" for kind, number in ordered)
