"""The fixed latency buckets: the same everywhere, so that histograms of replicas, arms and ticks add up.

Ten buckets to a doubling (ratio 2^0.1 = 1.072): "15 % slower" is two buckets and "25 % slower" three, each
rounded towards strictness by at most 7 %.
"""

from __future__ import annotations

BUCKETS_PER_DOUBLING = 10
BOUNDS: tuple[float, ...] = tuple(0.00025 * 2 ** (i / BUCKETS_PER_DOUBLING) for i in range(171))
"""Upper bounds in seconds, 0.25 ms to 32.8 s; a last, unbounded bucket follows."""

BUCKETS = len(BOUNDS) + 1
