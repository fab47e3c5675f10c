"""Thompson sampling for the weights: each arm's share is the chance that it is the best one.

Which participants meet which arm depends on earlier outcomes then. Intervals of an arm, and of differences
matched in order, hold all the same: they rest on outcomes of one arm being alike, whoever is assigned next
(see ``matching``). What breaks is what a bandit always breaks: if the rates of all arms rise and fall with
the hour, the arm that had more of the good hours looks better. Without a bandit both arms see the same hours.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

DRAWS = 2000


def thompson(
    outcomes: Mapping[str, tuple[float, int]], least: float, *, up: bool, seed: str, draws: int = DRAWS
) -> dict[str, float]:
    """Shares by arm that sum to 1, from (sum, number) of each arm's outcomes in 0..1.

    ``least``: share of every arm. ``up``: whether a larger rate is better. ``seed``: the same draws again.
    """
    random = Random(seed)  # noqa: S311 - shares are no secret, and the same seed gives them again
    wins = dict.fromkeys(outcomes, 0)
    for _ in range(draws):
        drawn = {arm: random.betavariate(1 + s, 1 + n - s) for arm, (s, n) in outcomes.items()}
        best = (max if up else min)(drawn, key=lambda arm: drawn[arm])
        wins[best] += 1
    return raised({arm: won / draws for arm, won in wins.items()}, least)


def raised(shares: Mapping[str, float], least: float) -> dict[str, float]:
    """Shares of at least ``least`` each; what is above it is divided in proportion to the old surplus."""
    rest = 1 - least * len(shares)
    total = sum(max(0.0, share - least) for share in shares.values())
    if total <= 0:
        return {arm: 1 / len(shares) for arm in shares}
    return {arm: least + rest * max(0.0, share - least) / total for arm, share in shares.items()}
