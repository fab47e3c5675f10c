"""Shares of traffic in hundredths of a percent, the smallest step that a route table knows."""

from __future__ import annotations

from modelserve.domain.routes import ServiceRoute, Weight
from modelserve.errors import InvalidSpec

TOTAL = 10_000
"""Hundredths of a percent in the whole."""
_ROUNDING = 0.05
"""Percentage points by which weights written with two decimals may miss 100 (three thirds sum to 99.99)."""


def hundredths(percent: float) -> int:
    """0.5 -> 50. Exact for two decimals; never more than the whole."""
    return min(TOTAL, round(percent * TOTAL / 100))


def weighted(service: ServiceRoute) -> list[tuple[Weight, int]]:
    """Each weight that is above 0 with its share; the shares sum to ``TOTAL``.

    What rounding leaves over goes to the largest weight. Raises InvalidSpec if a weight is negative or the
    weights do not sum to 100.
    """
    total = sum(weight.percent for weight in service.weights)
    if abs(total - 100) > _ROUNDING or any(weight.percent < 0 for weight in service.weights):
        listed = ", ".join(f"{weight.revision} {weight.percent:g}" for weight in service.weights) or "none"
        raise InvalidSpec(
            f"the weights of {service.service!r} must be 0 or more and sum to 100 percent, not {listed}"
        )
    shares = [hundredths(weight.percent) for weight in service.weights]
    shares[shares.index(max(shares))] += TOTAL - sum(shares)
    return [pair for pair in zip(service.weights, shares, strict=True) if pair[1] > 0]
