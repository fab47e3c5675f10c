"""Wealth: an e-process that mixes alternatives and starts afresh now and then, in constant memory.

E = sum_j v_j E^(j), where E^(j) counts only what came after the j-th start and the weights v_j sum to 1; a
start that is yet to come holds its weight as 1. All starts multiply by the same factors, so for each
alternative one number, the sum over the starts so far, is enough: nothing is approximated or forgotten.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log, log1p

_FLOOR = -1e6  # far below anything that could matter; keeps a long healthy life finite


@dataclass(frozen=True, slots=True)
class Wealth:
    """``logs``: log wealth staked on each alternative; ``reserve``: what later starts will get."""

    logs: tuple[float, ...]
    reserve: float
    starts: int = 1

    @classmethod
    def begin(cls, alternatives: int = 1, first: float = 0.5) -> Wealth:
        """The first start gets ``first``; with 0.5 the j-th gets 1/(j(j+1)) in all."""
        return cls((log(first),) * alternatives, 1 - first)

    @property
    def log(self) -> float:
        """log E, the mean over the alternatives plus the reserve."""
        return log_sum(self._staked, log(self.reserve))

    @property
    def _staked(self) -> float:
        logs = self.logs
        if len(logs) == 1:
            return logs[0]
        top = max(logs)
        return top + log(sum([exp(value - top) for value in logs]) / len(logs))

    def grow(self, factors: Sequence[float]) -> Wealth:
        """Multiply by one e-variable for each alternative, given as logarithms."""
        grown = [a + b for a, b in zip(self.logs, factors, strict=True)]
        if min(grown) < _FLOOR:
            grown = [max(value, _FLOOR) for value in grown]
        return Wealth(tuple(grown), self.reserve, self.starts)

    def restart(self) -> Wealth:
        """Start once more, with the (starts+2)-th part of the reserve.

        When to do so may depend on everything seen so far.
        """
        stake = self.reserve / (self.starts + 2)
        logs = tuple(log_sum(value, log(stake)) for value in self.logs)
        return Wealth(logs, self.reserve - stake, self.starts + 1)

    def at_most(self, bound: float) -> Wealth:
        """Give staked wealth away until log E <= ``bound`` (> 0); giving away keeps an e-process one."""
        if self.log <= bound:
            return self
        surplus = self._staked - log(exp(bound) - self.reserve)
        return Wealth(tuple([value - surplus for value in self.logs]), self.reserve, self.starts)


def log_sum(a: float, b: float) -> float:
    """log(exp a + exp b)."""
    low, high = (a, b) if a < b else (b, a)
    return high + log1p(exp(low - high))
