"""How long a run of the model takes, learnt from the runs that were: ``seconds = a + b * cost``.

*Cost* counts what the model has to work through: rows times the length that they are padded to.
"""

from __future__ import annotations

FORGET = 0.98
"""Weight that a run keeps with each run after it: the last fifty or so decide."""
GAIN = 0.15
"""Share of an item's own cost that is saved in company: what a CPU gains from batches of small models."""
SURE = 3.5
"""Runs, each weighted by its age, from which the estimate may refuse a call."""
DOUBT = 0.95
"""What is left of the estimate after each refusal that rests on it."""
OUTLIER = 8.0
"""A run that took this many times what was expected counts only as that: the machine was busy elsewhere."""


class CostModel:
    """A weighted least-squares line through the runs' (cost, seconds), never falling, never below zero.

    Source: ordinary least squares in running sums with exponential forgetting (Ljung, System Identification,
    2nd ed., section 11.2).
    """

    __slots__ = ("_c", "_cc", "_cs", "_n", "_s", "fixed", "per_cost")

    def __init__(self, fixed: float = 0.0, per_cost: float = 0.0) -> None:
        self.fixed, self.per_cost = fixed, per_cost
        """Seconds of any run, and seconds for each unit of cost."""
        self._n = self._c = self._s = self._cc = self._cs = 0.0

    @property
    def known(self) -> bool:
        return self.fixed + self.per_cost > 0

    @property
    def sure(self) -> bool:
        """Whether enough runs were seen to refuse a call because of what they took."""
        return self._n >= SURE

    def seconds(self, cost: float) -> float:
        """What a run of this cost is expected to take; 0 while nothing is known."""
        return self.fixed + self.per_cost * cost

    def learn(self, cost: float, seconds: float) -> None:
        """Add one run."""
        if self.known:
            seconds = min(seconds, OUTLIER * self.seconds(cost))
        self._n = self._n * FORGET + 1
        self._c = self._c * FORGET + cost
        self._s = self._s * FORGET + seconds
        self._cc = self._cc * FORGET + cost * cost
        self._cs = self._cs * FORGET + cost * seconds
        self._fit()

    def doubt(self) -> None:
        """Expect a little less: something was refused on the estimate alone, so no run can correct it."""
        self._s *= DOUBT
        self._cs *= DOUBT
        self.fixed *= DOUBT
        self.per_cost *= DOUBT

    def _fit(self) -> None:
        mean_cost, mean = self._c / self._n, self._s / self._n
        spread = self._cc - self._c * mean_cost
        if spread <= 1e-9 * self._cc:  # runs of one cost alone do not tell the two apart
            self.fixed, self.per_cost = 0.0, mean / mean_cost
            return
        slope = max(0.0, (self._cs - self._c * mean) / spread)
        fixed = mean - slope * mean_cost
        self.fixed, self.per_cost = (fixed, slope) if fixed >= 0 else (0.0, mean / mean_cost)

    def worth_joining(self, cost_before: float, cost_after: float, own: float) -> bool:
        """Whether one run of ``cost_after`` is no slower than a run of ``cost_before`` and one of ``own``."""
        padding = cost_after - cost_before - own
        return self.per_cost * (padding - GAIN * own) <= self.fixed
