"""E-variables for one block of traffic: two arms side by side, or one arm against a fixed rate.

In a block the candidate had ``n`` requests of which ``f`` were bad, the stable arm ``m`` of which ``g`` were
bad; ``p_c`` and ``p_b`` are the unknown chances. ``t1`` is where an alternative puts them, ``t0`` where the
null hypothesis comes closest to it. Whatever is passed beside the counts must come from earlier blocks only.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, log, log1p, sqrt

_TINY = 1e-9
_RARE = 0.05  # below it a rare-event root costs less than a hundredth of the evidence
_ROOM = 0.999  # of a stake may be lost by one answer, never all


@dataclass(frozen=True, slots=True)
class Block:
    """Counts of one block: candidate ``f`` bad of ``n``, stable ``g`` bad of ``m``; or their expectations."""

    n: float
    f: float
    m: float
    g: float

    @property
    def empty(self) -> bool:
        """Whether an arm is missing, so that the arms cannot be compared."""
        return self.n == 0 or self.m == 0


def clip(p: float) -> float:
    """``p`` moved inside (0, 1)."""
    return min(max(p, _TINY), 1 - _TINY)


def odds_shift(p: float, ratio: float) -> float:
    """The chance whose odds are ``ratio`` times those of ``p``; both in (0, 1)."""
    return ratio * p / (1 - p + ratio * p)


def log_likelihood_ratio(trials: float, bad: float, t1: float, t0: float) -> float:
    """log of (t1/t0)^bad ((1-t1)/(1-t0))^(trials-bad) for chances in (0, 1).

    For ``t1 > t0`` an e-variable against "chance <= t0", for ``t1 < t0`` against "chance >= t0": the ratio is
    monotone in ``bad`` and has expectation 1 at t0. It stays one when single chances differ but their mean
    obeys the null, since the product of the factors' means is at most its value at the mean.
    """
    slope = (t1 - t0) / (t0 * (1 - t0))
    return bad * log1p(slope * (1 - t0)) + (trials - bad) * log1p(-slope * t0)


def log_worse(block: Block, t1c: float, t1b: float) -> float:
    """log e-variable against "p_c <= p_b", aimed at (t1c, t1b) with t1c > t1b; 0 for an empty block.

    The null point is the pooled chance ``t0 = w t1c + (1-w) t1b`` at the realised split w = n/(n+m).
    Source: Turner, Ly, Grünwald, J. Stat. Plan. Inference 230 (2024), arXiv 2106.02693, section 2.
    """
    if block.empty:
        return 0.0
    n, f, m, g = block.n, block.f, block.m, block.g
    share = n / (n + m)
    t0 = share * t1c + (1 - share) * t1b
    good = (n - f) * log1p((t0 - t1c) / (1 - t0)) + (m - g) * log1p((t0 - t1b) / (1 - t0))
    return good + (f * log(t1c / t0) if f else 0.0) + (g * log(t1b / t0) if g else 0.0)


def log_within(block: Block, t1c: float, t1b: float, ratio: float, margin: float) -> float:
    """log e-variable against "p_c >= ratio p_b + margin", aimed at (t1c, t1b) that lies inside the margin.

    With slopes s_c < 0 and s_b = -ratio s_c n/m the expectation is at most
    exp(n s_c (p_c - ratio p_b - margin)) <= 1 under the null, for any split and any p_b (all that it needs
    is 1 + x <= exp x). 0 for an empty block and for an alternative that does not lie inside the margin.
    Source: Turner & Grünwald, arXiv 2203.09785, for the margin; the bound above is the proof.
    """
    if block.empty or t1c >= ratio * t1b + margin:
        return 0.0
    return _against_half_space(block, t1c, t1b, ratio, margin)


def log_beyond(block: Block, t1c: float, t1b: float, ratio: float, margin: float) -> float:
    """log e-variable against "p_c <= ratio p_b + margin", aimed at (t1c, t1b) that lies beyond the margin.

    The mirror image of :func:`log_within`, with s_c > 0; the same bound proves it.
    0 for an empty block and for an alternative that does not lie beyond the margin.
    """
    if block.empty or t1c <= ratio * t1b + margin:
        return 0.0
    return _against_half_space(block, t1c, t1b, ratio, margin)


def _against_half_space(block: Block, t1c: float, t1b: float, ratio: float, margin: float) -> float:
    """Both slopes, shrunk together until no factor can fall to 0, on the counts.

    *Values between 0 and 1 may be summed up in ``f`` and ``g``.* One answer of value v in [0, 1] contributes
    (1 + s(1-t))^v (1 - s t)^(1-v). The logarithm is concave, so this geometric mean is at most the arithmetic
    one, v (1 + s(1-t)) + (1-v)(1 - s t) = 1 + s (v - t), whose expectation is 1 + s (p - t) with p the mean
    of v: what counts of 0 and 1 would give. The product of the lower bounds is an e-variable because that of
    the bets is.
    """
    x = closest_null(block.n, block.m, t1c, t1b, ratio, margin)
    c = ratio * x + margin
    slope_c = (t1c - c) / (c * (1 - c))
    slope_b = -ratio * slope_c * block.n / block.m
    most = max(slope_b * x, -slope_b * (1 - x), slope_c * c, -slope_c * (1 - c), _TINY)
    room = min(1.0, _ROOM / most)
    slope_c, slope_b = slope_c * room, slope_b * room
    candidate = block.f * log1p(slope_c * (1 - c)) + (block.n - block.f) * log1p(-slope_c * c)
    stable = block.g * log1p(slope_b * (1 - x)) + (block.m - block.g) * log1p(-slope_b * x)
    return candidate + stable


def closest_null(n: float, m: float, t1c: float, t1b: float, ratio: float, margin: float) -> float:
    """The stable chance x of the null point (ratio x + margin, x) that is hardest to tell from (t1c, t1b).

    It solves n ratio (t1c-c)/(c(1-c)) + m (t1b-x)/(x(1-x)) = 0 with c = ratio x + margin, whose left side
    falls in x: the root of the rare-event version (a quadratic), and two Newton steps where bad answers are
    not rare. Any x in (0, 1) with
    c < 1 is valid in :func:`log_within` and :func:`log_beyond`; a better one only saves samples.
    """
    inner, outer = sorted((t1b, (t1c - margin) / ratio))
    low = max(inner, _TINY)
    high = max(min(outer, (1 - margin) / ratio - _TINY), low)
    x = min(max(_rare_event_root(n, m, t1c, t1b, ratio, margin), low), high)
    for _ in range(2 if high > _RARE or margin > _RARE else 0):
        c = ratio * x + margin
        value = n * ratio * (t1c - c) / (c * (1 - c)) + m * (t1b - x) / (x * (1 - x))
        fall = n * ratio**2 * (t1c / c**2 + (1 - t1c) / (1 - c) ** 2)
        fall += m * (t1b / x**2 + (1 - t1b) / (1 - x) ** 2)
        step = value / fall
        x = min(max(x + step, low), high) if isfinite(step) else x
    return x


def _rare_event_root(n: float, m: float, t1c: float, t1b: float, ratio: float, margin: float) -> float:
    """Positive root of n r x (t1c - r x - e) + m (t1b - x)(r x + e) = 0, r the ratio and e the margin."""
    square = ratio * (n * ratio + m)
    linear = n * ratio * (margin - t1c) + m * (margin - ratio * t1b)
    constant = -m * margin * t1b
    return (-linear + sqrt(max(linear * linear - 4 * square * constant, 0.0))) / (2 * square)
