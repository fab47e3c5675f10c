"""How much more the counts of bad answers vary than independent answers would.

A *dispersion index* of 1 is what independence gives; failures that come in fives give 5. An e-value raised
to 1/index is still an e-variable (Jensen), so dividing log e-values by an index >= 1 that comes from earlier
blocks never breaks a bound. That it restores the bound for dependent answers is a heuristic: it makes the
variance right, not the distribution, and it sees dependence within a block only.

The index must be learnt, and a burst may come before it is. So until stable's failures have shown how they
come, the candidate's failures of one block count as *one group* and a little more
(:meth:`Dispersion.grouped`). What is behind it is a theorem: let groups of failures, of any size, begin
independently with each request and end within the block and the arm in which they began. If the candidate's
begin no more often than stable's, then counting a candidate's block once, however much failed in it, and
stable's failures one by one, leaves :func:`modelserve.statistics.blocks.log_worse` an e-variable: it rises in
the former, which is at most the number of groups, and falls in the latter, which is at least that. Counting
more than one, as evidence grows that failures come one by one, is a heuristic again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import sqrt

from modelserve.statistics.blocks import Block

_PRIOR = 5.0  # expected bad answers that the assumption of independence is worth
_MEMORY = 400.0  # expected bad answers after which old blocks fade
_NOTABLE = 1.25
_GROUP = 10.0  # failures in a group, until stable's have shown how they come
_SURE = 1.5  # standard errors by which an index must be notable before it replaces the count of groups


@dataclass(frozen=True, slots=True)
class Contrast:
    """Fading sums over comparisons of two groups: how far apart they were, and how far they should be."""

    square: float = 0.0
    """Squared distance D of one group's bad answers from its share of both groups' bad answers."""
    trend: float = 0.0
    """D times V."""
    variance: float = 0.0
    """V, the hypergeometric variance of D: exact for independent answers, whatever their common chance."""
    variance_square: float = 0.0

    def add(self, block: Block) -> Contrast:
        """Compare the block's two groups; an empty one says nothing."""
        total, bad = block.n + block.m, block.f + block.g
        if block.empty or bad == 0:
            return self
        away = block.f - block.n * bad / total
        variance = block.n * block.m * bad * (total - bad) / (total * total * (total - 1))
        keep = min(1.0, _MEMORY / self.variance) if self.variance > 0 else 1.0
        return Contrast(
            self.square * keep + away * away,
            self.trend * keep + away * variance,
            self.variance * keep + variance,
            self.variance_square * keep + variance * variance,
        )

    def index(self, prior: float, worth: float = _PRIOR) -> float:
        """Squares over variance, without what a constant difference explains (D regressed on V).

        ``prior`` is the index assumed beside what was seen, as if ``worth`` of variance had shown it.
        """
        explained = self.trend**2 / self.variance_square if self.variance_square > 0 else 0.0
        rest = max(self.square - explained, 0.0)
        return (worth * prior + rest) / (worth + self.variance)

    @property
    def doubt(self) -> float:
        """Standard error of the index of independent answers: squares of normal variables vary by 2."""
        return sqrt(2 / (_PRIOR + self.variance))


@dataclass(frozen=True, slots=True)
class Dispersion:
    """Of the stable arm, from block to block, and of the contrast between the arms, within blocks."""

    alone: Contrast = Contrast()
    between: Contrast = Contrast()
    requests: float = 0.0
    """Of the stable arm in its last block."""
    bad: float = 0.0

    def see(self, block: Block) -> Dispersion:
        """Add one block."""
        if block.m == 0:
            return self
        alone = self.alone.add(Block(block.m, block.g, self.requests, self.bad))
        return Dispersion(alone, self.between.add(block), block.m, block.g)

    def index(self, carried: float = 1.0) -> float:
        """At least 1; exactly 1 until it is notable (above 1.25).

        The lesser of two measures. The stable arm's own index, from one block to the next, also counts what
        hits both arms alike, such as a busy machine, which cancels in a comparison of arms. The contrast's
        does not. Until there is enough of it, it is taken to exceed 1 by the part ``carried`` of what the
        stable arm's does: 1 for groups whose size does not depend on traffic (one client's retries),
        :func:`carried_by_time` for what lasts a while.
        """
        alone = self.alone.index(1.0)
        index = min(alone, self.between.index(1 + carried * max(alone - 1, 0.0)))
        return index if index > _NOTABLE else 1.0

    def grouped(self, block: Block) -> tuple[Block, float]:
        """(the block of failures as it counts, what to divide its evidence by).

        Once stable has shown beyond doubt that failures come in groups, everything counts and the evidence is
        divided by the index. Before that, the candidate's second and further failures count by one over the
        size of groups that is still credible: ten at first, one when some hundred failures came one by one.
        """
        index = self.index()
        if index > _NOTABLE + _SURE * self.alone.doubt:
            return block, max(index, self._credible(1.0))
        size = self._credible(_PRIOR)
        if block.f <= 1 or size <= _NOTABLE:
            return block, 1.0
        return replace(block, f=1 + (block.f - 1) / size), 1.0

    def _credible(self, worth: float) -> float:
        """The index, were groups of ten assumed beside what was seen."""
        alone = self.alone.index(_GROUP, worth)
        return min(alone, self.between.index(alone, worth))


def carried_by_time(block: Block) -> float:
    """For slowness that lasts a while (a stall): an arm's index exceeds 1 in proportion to its traffic.

    With w the candidate's share of a block and I the stable arm's index, the candidate's is
    1 + (I-1) w/(1-w), and so the contrast's, (1-w) times the candidate's plus w times I, is 1 + 2w (I-1).
    """
    total = block.n + block.m
    return min(1.0, 2 * block.n / total) if total else 1.0
