"""Assignment: sticky, moved as little as the weights allow, independent between experiments."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from modelserve.experiments.assignment import SLOTS, arm_at, arm_of, lay_out, move, shares, sizes, slot_of

ARMS = "abcdefgh"


@st.composite
def weights(draw, arms=None):
    """Shares in 0..1 that sum to 1."""
    count = arms or draw(st.integers(2, 8))
    parts = draw(st.lists(st.integers(0, 1000), min_size=count, max_size=count).filter(any))
    return {arm: part / sum(parts) for arm, part in zip(ARMS, parts, strict=False)}


@given(weights())
def test_slots_sum_to_the_whole_and_miss_no_weight_by_more_than_one(found):
    given_slots = sizes(found)
    assert sum(given_slots.values()) == SLOTS
    assert all(abs(given_slots[arm] - weight * SLOTS) < 1 for arm, weight in found.items())


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 8).flatmap(lambda n: st.lists(weights(n), min_size=2, max_size=6)))
def test_no_more_slots_change_hands_than_must(sequence):
    layout = lay_out(sequence[0])
    for following in sequence[1:]:
        before, layout = layout, move(layout, following)
        assert {arm: n for arm, n in sizes(following).items() if n} == shares(layout)
        had, has = shares(before), shares(layout)
        least = sum(max(0, has.get(arm, 0) - had.get(arm, 0)) for arm in following)
        old, new = expanded(before), expanded(layout)
        assert sum(a != b for a, b in zip(old, new, strict=True)) == least


def expanded(layout):
    return [arm for arm, size in layout for _ in range(size)]


@given(weights())
def test_weights_that_stay_move_nobody(found):
    assert move(lay_out(found), found) == lay_out(found)


def test_an_arm_is_found_at_every_slot():
    layout = (("a", 1), ("b", 9998), ("a", 1))
    assert [arm_at(layout, slot) for slot in (0, 1, 9998, 9999)] == ["a", "b", "b", "a"]


def test_two_experiments_draw_independently():
    layout = lay_out({"a": 0.5, "b": 0.5})
    both = Counter(
        (arm_of(layout, "tone", f"user-{n}"), arm_of(layout, "speed", f"user-{n}")) for n in range(20_000)
    )
    assert sum((count - 5000) ** 2 / 5000 for count in both.values()) < 16.3  # chi2, 3 df, 0.1 %


def test_slots_are_used_evenly():
    counts = Counter(slot_of("tone", f"{n}") // 100 for n in range(50_000))
    assert sum((counts[part] - 500) ** 2 / 500 for part in range(100)) < 148.2  # chi2, 99 df, 0.1 %


def test_many_small_changes_leave_few_runs():
    layout = lay_out(dict.fromkeys(ARMS, 1 / 8))
    for step in range(500):
        parts = [1 + (step * (arm + 3) * 7919) % 97 for arm in range(8)]
        layout = move(layout, {arm: part / sum(parts) for arm, part in zip(ARMS, parts, strict=True)})
    assert len(layout) < 400
