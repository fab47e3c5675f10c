"""From what a source told of both arms at two looks to outcomes: pure arithmetic."""

from __future__ import annotations

from modelserve.domain.guardrails import Guardrail, Kind
from modelserve.domain.rollouts import Trials
from modelserve.observers.custom.base import Count

ROUNDING = 1e-9
"""Share of the total by which a sum may be out of its bounds: numbers travel as text."""


class Reset(Exception):
    """A counter fell: it began anew, and what it counted in between is not known."""


class Impossible(Exception):
    """Figures that can't be, and why."""


def trials(guardrail: Guardrail, before: Count, now: Count) -> Trials:
    """What one arm added between two looks, each outcome worth 0 (good) to 1 (bad).

    A mean is scaled by ``low`` and ``high``; where more is better (``maxDecrease``) good and bad change
    places. Raises Reset or Impossible.
    """
    total, bad = now.total - before.total, now.bad - before.bad
    if total < 0 or (bad < 0 and not _may_fall(guardrail)):
        raise Reset
    if guardrail.kind is Kind.MEAN:
        bad = (bad - guardrail.low * total) / (guardrail.high - guardrail.low)
    slack = ROUNDING * max(1.0, abs(now.total), abs(now.bad))
    if not -slack <= bad <= total + slack:
        raise Impossible(_why(guardrail, total, now.bad - before.bad))
    bad = min(max(bad, 0.0), total)
    return Trials(total, total - bad if guardrail.max_decrease is not None else bad)


def _may_fall(guardrail: Guardrail) -> bool:
    """A sum of values that may be negative falls without having begun anew."""
    return guardrail.kind is Kind.MEAN and guardrail.low < 0


def _why(guardrail: Guardrail, total: float, added: float) -> str:
    if guardrail.kind is not Kind.MEAN:
        return f"counted {added:g} bad ones of {total:g}"
    between = f"between low and high, {guardrail.low:g} and {guardrail.high:g}"
    mean = f"a mean of {added / total:g}" if total else f"a sum that rose by {added:g} with nothing new"
    return f"told {mean}, which does not lie {between}"
