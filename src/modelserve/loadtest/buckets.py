"""Histograms of times on fixed logarithmic buckets, 64 to a doubling: a quantile is at most 1.1 % too high.

As in HdrHistogram, the cost of a value does not depend on how many there are, and histograms of processes
add up. These are finer than the judge's buckets (``domain.latency``), which start at a quarter of a
millisecond: a load test tells apart what a proxy costs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from modelserve.statistics.histograms import Tails

PER_DOUBLING = 64
SMALLEST = 1e-6
"""Seconds; all that is shorter is in the first bucket."""
BUCKETS = 32 * PER_DOUBLING
"""Up to 4295 s; all that is longer is in the last bucket."""
Counts = NDArray[np.int64]


def empty() -> Counts:
    return np.zeros(BUCKETS, np.int64)


def counted(seconds: Sequence[float]) -> Counts:
    """The histogram of these values."""
    places = np.ceil(np.log2(np.maximum(seconds, SMALLEST) / SMALLEST) * PER_DOUBLING)
    return np.bincount(np.minimum(places.astype(np.int64), BUCKETS - 1), minlength=BUCKETS)


def bound(bucket: int) -> float:
    """Upper bound of a bucket in seconds."""
    return float(SMALLEST * 2 ** (bucket / PER_DOUBLING))


def quantile(counts: Counts, q: float, largest: float) -> float | None:
    """The time within which a share ``q`` of the values lies; ``largest`` of them is known exactly.

    None if there are no values.
    """
    bucket = Tails(counts.tolist()).bucket_of(q)
    return None if bucket < 0 else min(bound(bucket), largest)


def sparse(counts: Counts) -> dict[int, int]:
    """Only the buckets with something in them, for JSON."""
    return {int(bucket): int(counts[bucket]) for bucket in np.flatnonzero(counts)}


def dense(told: dict[str, int]) -> Counts:
    """What :func:`sparse` wrote, after its journey as JSON."""
    counts = empty()
    for bucket, count in told.items():
        counts[int(bucket)] = count
    return counts
