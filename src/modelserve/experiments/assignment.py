"""Which arm a participant meets: its key falls into one of 10,000 slots, and every slot belongs to an arm.

A key's slot never changes. When weights change, the fewest slots that can bring the new weights about change
hands, so nobody moves but the share that has to: half the sum of |new - old|, less than 0.01 % of rounding
aside. The name of the experiment salts the hash, so that two experiments draw independently.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from math import floor

from modelserve._kit.xxh64 import xxh64
from modelserve.domain.experiments import Layout

SLOTS = 10_000


def slot_of(experiment: str, key: str) -> int:
    """The slot of a key, as the front door computes it: xxHash64 of ``experiment/key``."""
    return xxh64(f"{experiment}/{key}".encode()) % SLOTS


def arm_at(layout: Layout, slot: int) -> str:
    """The arm that a slot belongs to."""
    for arm, size in layout:
        if slot < size:
            return arm
        slot -= size
    raise ValueError(f"slot {slot} is beyond the last of {SLOTS}")


def arm_of(layout: Layout, experiment: str, key: str) -> str:
    """The arm that a participant meets."""
    return arm_at(layout, slot_of(experiment, key))


def sizes(weights: Mapping[str, float]) -> dict[str, int]:
    """Shares in 0..1 to slots, by largest remainders; they sum to ``SLOTS``. The shares sum to 1."""
    exact = {arm: weight * SLOTS for arm, weight in weights.items()}
    whole = {arm: floor(value + 1e-9) for arm, value in exact.items()}
    by_rest = sorted(exact, key=lambda arm: whole[arm] - exact[arm])
    for arm in by_rest[: SLOTS - sum(whole.values())]:
        whole[arm] += 1
    return whole


def shares(layout: Layout) -> dict[str, int]:
    """Slots by arm."""
    found: dict[str, int] = {}
    for arm, size in layout:
        found[arm] = found.get(arm, 0) + size
    return found


def lay_out(weights: Mapping[str, float]) -> Layout:
    """The first layout: one run for each arm, in the order of the weights."""
    return tuple((arm, size) for arm, size in sizes(weights).items() if size)


def move(layout: Layout, weights: Mapping[str, float]) -> Layout:
    """The layout for other weights of the same arms, with the fewest slots that change hands.

    Small runs are given away first, so that many changes do not leave ever more runs.
    """
    wanted, had = sizes(weights), shares(layout)
    surplus = {arm: max(0, had.get(arm, 0) - size) for arm, size in wanted.items()}
    heirs = [arm for arm, size in wanted.items() for _ in range(size - had.get(arm, 0))]
    owners: dict[int, list[str]] = {}
    for index in sorted(range(len(layout)), key=lambda at: layout[at][1]):
        arm, size = layout[index]
        given = min(size, surplus[arm])
        surplus[arm] -= given
        owners[index] = [arm] * (size - given) + [heirs.pop() for _ in range(given)]
    slots = (arm for index in range(len(layout)) for arm in owners[index])
    return tuple((arm, len(list(run))) for arm, run in groupby(slots))
