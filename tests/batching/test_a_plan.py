"""A plan is chosen from rates: what is usual stays unless something else is clearly better."""

from __future__ import annotations

import pytest

from modelserve.batching.plans import Crew, alternatives, clearly_better, useful_size, worth_going_on


@pytest.mark.parametrize(
    ("usual", "others"),
    [
        (Crew(1), []),
        (Crew(2), [Crew(1, 2)]),
        (Crew(6), [Crew(3, 2), Crew(1, 4), Crew(1, 6)]),
        (Crew(8), [Crew(4, 2), Crew(2, 4), Crew(1, 8)]),
    ],
)
def test_is_compared_with_fewer_workers_that_have_more_cores(usual: Crew, others: list[Crew]) -> None:
    assert list(alternatives(usual)) == others


@pytest.mark.parametrize(
    ("turns", "better"),
    [
        ([(100, 111), (100, 120)], True),
        ([(100, 109), (100, 150)], False),  # once below ten percent
        ([(100, 200)], False),  # once is chance
        ([], False),
    ],
)
def test_takes_another_crew_only_if_every_turn_says_so(
    turns: list[tuple[float, float]], better: bool
) -> None:
    assert clearly_better(turns) is better


@pytest.mark.parametrize(
    ("rates", "size"),
    [
        ({}, 8),
        ({1: 100, 2: 101, 4: 102, 8: 100, 16: 90, 32: 80}, 1),  # batches bring nothing
        ({1: 100, 2: 115, 4: 125, 8: 127, 16: 126, 32: 120}, 4),
        ({1: 100, 2: 120, 4: 140, 8: 160, 16: 170, 32: 172}, 8),  # above the usual, but not by ten percent
        ({1: 100, 2: 190, 4: 350, 8: 600, 16: 900, 32: 1100}, 32),
        ({1: 100, 2: 130}, 8),  # it rises still and there was no time for more
        ({1: 100, 2: 100, 4: 99}, 1),
    ],
)
def test_has_the_smallest_batch_that_is_about_as_good(rates: dict[int, float], size: int) -> None:
    assert useful_size(rates, 8) == size


def test_goes_on_until_two_sizes_brought_nothing() -> None:
    assert worth_going_on({})
    assert worth_going_on({1: 100, 2: 100})
    assert worth_going_on({1: 100, 2: 99, 4: 120})
    assert not worth_going_on({1: 100, 2: 101, 4: 102})
