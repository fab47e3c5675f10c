"""Whether labels come as fast for one arm as for the other.

Of N labels of one age, of predictions that were split with the candidate's share w, the candidate's number is
binomial(N, w) where the delay is the same in both arms. The candidate may get more or fewer labels in all;
but where its share differs from age to age, one arm's labels come later, and what came so far can't be
compared.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

LIMIT = 4.5
"""Normal deviates beyond which the delays differ: by chance alone once in some 300,000 looks. It is looked
at again and again without a correction, so it is strict: a check beside the statistics, not a promise."""
LEAST = 5.0
"""Labels to expect in each arm at an age before that age counts."""


@dataclass(frozen=True, slots=True)
class Share:
    """The candidate's labels of one age beside what the split makes expect."""

    seen: float = 0.0
    expected: float = 0.0
    rest: float = 0.0
    """Labels to expect of stable."""
    variance: float = 0.0

    def add(self, stable: float, candidate: float, weight: float) -> Share:
        """``weight``: the candidate's share of the predictions, in 0..1."""
        n = stable + candidate
        return Share(
            self.seen + candidate,
            self.expected + n * weight,
            self.rest + n * (1 - weight),
            self.variance + n * weight * (1 - weight),
        )


def deviation(shares: Iterable[Share]) -> float:
    """How unlike each other the candidate's shares are at different ages, in normal deviates.

    Pearson's statistic over the ages, sum (O - cE)^2 / (cV) with c = sum O / sum E, which is about chi-square
    with one degree less than there are ages; made normal as Wilson and Hilferty (1931) do.
    """
    told = [share for share in shares if min(share.expected, share.rest) >= LEAST]
    if len(told) < 2 or not (total := sum(share.seen for share in told)):
        return 0.0
    scale = total / sum(share.expected for share in told)
    statistic = sum((s.seen - scale * s.expected) ** 2 / (scale * s.variance) for s in told)
    spread = 2 / (9 * (len(told) - 1))
    return (math.cbrt(statistic / (len(told) - 1)) - (1 - spread)) / math.sqrt(spread)
