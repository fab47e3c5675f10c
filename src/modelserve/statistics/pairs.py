"""Paired comparisons: two versions of a model answered the same inputs.

A pair ends in one of three ways: *up* (x = 1), *down* (x = -1) or *same* (x = 0). What the two sides mean is
the caller's: stable right and the candidate wrong, or the candidate differing where stable repeats itself.
All of these are e-processes, whatever the order of the pairs and however many come in one block, as long as a
stake comes from earlier blocks only. Logarithms are natural.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log, log1p
from operator import add

from modelserve.domain.rollouts import LabelledPairs

CHANCES = (0.55, 0.6, 0.65, 0.7, 0.8, 0.9)
"""Chances that a discordant pair goes against the new version, each an alternative of the mixture."""
STAKES = (0.05, 0.1, 0.2, 0.4, 0.7, 0.95)
"""Parts of the largest stake, for a mixture that needs no estimate: :func:`log_bets`."""
_MOST = 0.75  # of the largest stake: the truncation of aGRAPA
_PRIOR_VARIANCE = 0.25


@dataclass(frozen=True, slots=True)
class Discordance:
    """Evidence against "the candidate is right less often than stable by at most ``margin``".

    Without a margin only discordant pairs count: E = sum over q of pi(q) (2q)^b (2(1-q))^c with b pairs in
    which only stable was right, and c in which only the candidate was; pi is even over :data:`CHANCES`. It is
    the sequential form of McNemar's test (Psychometrika 12, 1947). With D = 1, -1 or 0 a factor is
    1 + (2q - 1) D; a margin makes it 1 + (2q - 1) (D - margin) / (1 + margin), with a mean of at most 1
    while E[D] <= margin.
    """

    logs: tuple[float, ...] = (0.0,) * len(CHANCES)

    def add(self, seen: LabelledPairs, margin: float = 0.0) -> Discordance:
        """Add one block of pairs; ``margin`` in [0, 1) must always be the same."""
        stakes = ((2 * q - 1) / (1 + margin) for q in CHANCES)
        ends = seen.stable_right, seen.alike, seen.candidate_right
        return Discordance(tuple(map(add, self.logs, (log_bet(*ends, margin, stake) for stake in stakes))))

    @property
    def log(self) -> float:
        """log E."""
        top = max(self.logs)
        return top + log(sum(exp(value - top) for value in self.logs) / len(self.logs))


@dataclass(frozen=True, slots=True)
class Bets:
    """Evidence against "x is at most ``limit`` on average", with the stake that the past suggests.

    E = prod (1 + stake (x - limit)). The stake is aGRAPA, an approximation of the one under which the wealth
    grows fastest: (mean - limit) / (variance + (mean - limit)^2), not below 0, and at most three quarters of
    what could be lost whole. Source: Waudby-Smith & Ramdas, J. R. Stat. Soc. B 86 (2024), arXiv 2010.09686,
    appendix B.3.
    """

    n: float = 0.0
    total: float = 0.0
    """Sum of x."""
    squares: float = 0.0
    """Sum of its squares."""
    log: float = 0.0
    """log E."""

    def add(self, up: float, same: float, down: float, limit: float) -> Bets:
        """Add one block of pairs; ``limit`` in (-1, 1) must always be the same."""
        grown = log_bet(up, same, down, limit, self.stake(limit))
        n = self.n + up + same + down
        return Bets(n, self.total + up - down, self.squares + up + down, self.log + grown)

    def stake(self, limit: float) -> float:
        mean = self.total / (self.n + 1)
        variance = (_PRIOR_VARIANCE + max(self.squares - self.n * mean * mean, 0.0)) / (self.n + 1)
        gain = mean - limit
        return min(max(gain, 0.0) / (variance + gain * gain), _MOST / (1 + limit))


def add_within(bets: Bets, seen: LabelledPairs, margin: float) -> Bets:
    """Evidence against "the candidate is right less often by ``margin`` (in 0..1) or more".

    With D = 1, -1 or 0 where only stable, only the candidate, or both or neither was right, the null is
    E[D] >= margin and a factor is 1 + stake (margin - D).
    """
    return bets.add(seen.candidate_right, seen.alike, seen.stable_right, -margin)


def log_bet(up: float, same: float, down: float, limit: float, stake: float) -> float:
    """log of prod (1 + stake (x - limit)); ``stake`` in [0, 1 / (1 + limit)).

    An e-variable against "x is at most ``limit`` on average": each factor's mean is at most 1. That holds
    for parts of a pair, too (x between -1 and 1, told by how far it is up or down): the logarithm is
    concave, so the bet on the parts is never above 1 + stake (x - limit).
    """
    gains = up * log1p(stake * (1 - limit)) + down * log1p(-stake * (1 + limit))
    return gains + same * log1p(-stake * limit)


def log_bets(up: float, same: float, down: float, limit: float) -> list[float]:
    """:func:`log_bet` for each of :data:`STAKES`."""
    return [log_bet(up, same, down, limit, part / (1 + limit)) for part in STAKES]
