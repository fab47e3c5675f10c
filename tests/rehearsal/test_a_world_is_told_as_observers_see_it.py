from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from modelserve.domain.rollouts import Observation
from modelserve.rehearsal.world import Latency, Traffic, World, constant

PLAIN = World(50, constant(0.1), constant(0.1))


def ticks(world: World, count: int, weight: float = 0.3) -> list[Observation]:
    traffic = Traffic(world, 7)
    return [traffic.tick(float(now), weight) for now in range(count)]


def total(seen: list[Observation]) -> int:
    return sum(arm.requests for look in seen for arm in (look.stable, look.candidate) if arm)


def test_arrivals_are_the_same_whatever_the_weights():
    assert total(ticks(PLAIN, 50, 0.1)) == total(ticks(PLAIN, 50, 0.8))


def test_a_missed_look_is_covered_by_the_next():
    seen = ticks(replace(PLAIN, missed=0.4), 200)
    missed = [look for look in seen if look.stable is None]
    assert 40 < len(missed) < 120
    assert total(seen) == pytest.approx(total(ticks(PLAIN, 200)), rel=0.02)


def test_a_restart_hides_one_arm_for_one_look():
    seen = ticks(replace(PLAIN, restarts=0.2), 200)
    assert any(look.stable is None and look.candidate is not None for look in seen)
    assert any(look.candidate is None and look.stable is not None for look in seen)


def test_a_restart_within_a_gap_loses_the_gap():
    seen = ticks(replace(PLAIN, missed=0.5, restarts=0.3), 300)
    assert 0 < total(seen) < 0.9 * total(ticks(PLAIN, 300))


def test_a_swelling_rate_keeps_its_mean_and_is_autocorrelated():
    counts = np.array([total([look]) for look in ticks(replace(PLAIN, swell=0.5, swell_time=5.0), 4000)])
    assert counts.mean() == pytest.approx(50, rel=0.1)
    assert np.corrcoef(counts[:-1], counts[1:])[0, 1] > 0.5


def test_failures_come_in_bursts_of_one_size():
    seen = ticks(replace(PLAIN, burst=5), 100)
    assert {look.stable.failures % 5 for look in seen if look.stable} == {0}


def test_only_the_candidate_starts_cold_and_warms_up():
    shape = Latency(tail_share=0.0, cold_factor=4.0, cold_time=4.0)
    seen = ticks(World(200, constant(0.0), constant(0.0), latency=shape), 40, 0.5)

    def mean(look: Observation, arm: str) -> float:
        counts = np.array(getattr(look, arm).latency)
        return float(counts @ np.arange(len(counts)) / counts.sum())

    assert mean(seen[0], "candidate") > mean(seen[0], "stable") + 10
    assert mean(seen[-1], "candidate") == pytest.approx(mean(seen[-1], "stable"), abs=2)


def test_a_second_kind_of_request_takes_longer_in_both_arms():
    shape = Latency(tail_share=0.0, second_share=0.3, second_factor=8.0)
    seen = ticks(World(500, constant(0.0), constant(0.0), latency=shape), 20, 0.5)
    slow = [sum(arm.latency[52:]) / arm.requests for look in seen for arm in (look.stable, look.candidate)]
    assert np.mean(slow) == pytest.approx(0.3, abs=0.05)
