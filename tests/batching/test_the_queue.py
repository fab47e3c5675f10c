"""The queue: bounded, in turn, work-conserving, and nobody is lost or served twice."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from modelserve.batching.calls import Call, Item
from modelserve.batching.queue import BatchQueue
from modelserve.domain.inference import Priority
from modelserve.errors import Overloaded


def queue(size: int = 4, delay: float = 0.0, waiting: int = 100, workers: int = 1) -> BatchQueue:
    return BatchQueue(size, delay, waiting, workers)


def call(*rows: int, at: float = 0.0, deadline: float | None = None, kind: str = "a") -> Call:
    made = Call(at, deadline)
    for number, count in enumerate(rows or (1,)):
        made.add(kind, count, number)
    return made


def knows(waiting: BatchQueue, seconds: float) -> None:
    """Let the queue have seen runs of one row that took so long."""
    for _ in range(5):
        waiting.cost.learn(1, seconds)


def expired(call: Call, now: float) -> bool:
    return call.deadline is not None and now >= call.deadline


def calls(batch: Sequence[Item]) -> list[Call]:
    return [item.call for item in batch]


def test_a_free_worker_takes_what_waits_at_once() -> None:
    waiting = queue()
    assert waiting.take(0.0) == ()
    assert waiting.due(0.0) is None
    waiting.offer(one := call())
    assert waiting.due(0.0) == 0.0
    assert calls(waiting.take(0.0)) == [one]
    assert waiting.take(0.0) == ()


def test_calls_are_taken_in_the_order_in_which_they_came() -> None:
    waiting, offered = queue(size=2), [call() for _ in range(5)]
    for each in offered:
        waiting.offer(each)
    taken = [calls(waiting.take(0.0)) for _ in range(3)]
    assert taken == [offered[:2], offered[2:4], offered[4:]]


def test_what_waits_is_split_over_the_idle_workers() -> None:
    waiting = queue(size=8)
    for _ in range(6):
        waiting.offer(call())
    assert [len(waiting.take(0.0, idle)) for idle in (3, 2, 1)] == [2, 2, 2]


def test_only_items_of_one_kind_share_a_batch_and_the_head_is_never_passed_over() -> None:
    waiting = queue()
    a, b, c = call(kind="long"), call(kind="short"), call(kind="long")
    for each in (a, b, c):
        waiting.offer(each)
    assert calls(waiting.take(0.0)) == [a, c]
    assert calls(waiting.take(0.0)) == [b]


def test_a_large_call_delays_a_small_one_by_a_batch_and_not_by_itself() -> None:
    waiting, large, small = queue(), call(*[1] * 100), call(kind="b")
    waiting.offer(large)
    waiting.offer(small)
    assert calls(waiting.take(0.0)) == [large] * 4
    assert calls(waiting.take(0.0)) == [small]
    rest = [item.payload for _ in range(24) for item in waiting.take(0.0)]
    assert rest == list(range(4, 100))


def test_an_item_that_is_larger_than_a_batch_runs_alone() -> None:
    waiting, wide = queue(), call(9)
    waiting.offer(wide)
    waiting.offer(call())
    assert calls(waiting.take(0.0)) == [wide]


def test_rows_and_not_items_fill_a_batch() -> None:
    waiting = queue()
    for _ in range(3):
        waiting.offer(call(3))
    waiting.offer(last := call(1))
    batch = waiting.take(0.0)
    assert [item.rows for item in batch] == [3, 1]
    assert batch[1].call is last


def test_one_more_than_may_wait_is_refused_with_the_time_to_come_back() -> None:
    waiting = queue(waiting=2, workers=2)
    waiting.cost.learn(10, 5.0)
    waiting.offer(call(*[1] * 6))
    waiting.offer(call(*[1] * 6))
    with pytest.raises(Overloaded, match="2 requests wait already") as caught:
        waiting.offer(call())
    assert caught.value.retry_after == pytest.approx(12 * 0.5 / 2)


def test_recent_runs_count_more_in_the_time_to_come_back() -> None:
    waiting = queue(waiting=1)
    waiting.cost.learn(1, 1.0)
    for _ in range(300):
        waiting.cost.learn(1, 0.1)
    waiting.offer(call())
    with pytest.raises(Overloaded) as caught:
        waiting.offer(call())
    assert caught.value.retry_after == pytest.approx(0.1, rel=0.01)


def test_a_cancelled_call_never_runs_and_makes_room_at_once() -> None:
    waiting, gone, next_ = queue(waiting=1), call(1, 1), call()
    waiting.offer(gone)
    waiting.cancel(gone)
    waiting.cancel(gone)
    assert waiting.waiting == 0
    waiting.offer(next_)
    assert calls(waiting.take(0.0)) == [next_]


def test_cancelling_after_everything_was_taken_changes_nothing() -> None:
    waiting, taken = queue(), call()
    waiting.offer(taken)
    waiting.take(0.0)
    waiting.cancel(taken)
    assert waiting.waiting == 0


def test_a_call_past_its_deadline_is_dropped() -> None:
    waiting, late, fine = queue(), call(deadline=1.0), call(deadline=9.0)
    waiting.offer(late)
    waiting.offer(fine)
    assert calls(waiting.take(1.0)) == [fine]
    assert late.dead
    assert waiting.waiting == 0


def test_with_a_delay_a_worker_waits_for_company_but_not_for_more_than_a_batch() -> None:
    waiting = queue(size=2, delay=0.5)
    waiting.offer(first := call(at=1.0))
    assert waiting.take(1.2) == ()
    assert waiting.due(1.2) == pytest.approx(0.3)
    waiting.offer(second := call(at=1.3))
    assert waiting.due(1.3) == 0.0
    assert calls(waiting.take(1.3)) == [first, second]
    waiting.offer(third := call(at=2.0))
    assert calls(waiting.take(2.5)) == [third]


def test_filling_a_batch_looks_at_a_bounded_number_of_calls() -> None:
    waiting = queue(waiting=10_000)
    waiting.offer(call(kind="rare"))
    for _ in range(2000):
        waiting.offer(call(kind="other"))
    waiting.offer(call(kind="rare"))
    assert len(waiting.take(0.0)) == 1
    assert waiting.waiting == 2001


def test_calls_that_were_cancelled_while_no_worker_is_free_do_not_pile_up() -> None:
    waiting, stays = queue(waiting=3), call()
    waiting.offer(stays)
    gone = [call() for _ in range(100)]
    for each in gone:
        waiting.offer(each)
        waiting.cancel(each)
    assert sum(map(len, waiting._lanes)) <= 6
    assert calls(waiting.take(0.0)) == [stays]


class Life(RuleBasedStateMachine):
    """Any order of offers, takes, cancellations and passing time, beside a plain model of the queue.

    ``open`` is in the order in which calls are to be served: one that was served in part goes to its end.
    """

    def __init__(self) -> None:
        super().__init__()
        self.queue = queue(size=4, waiting=6)
        self.now = 0.0
        self.open: list[Call] = []
        self.owed: dict[int, list[int]] = {}
        """Payloads that each open call still has to get, in order."""

    @rule(
        rows=st.lists(st.integers(1, 6), min_size=1, max_size=6),
        kind=st.sampled_from("ab"),
        lasts=st.none() | st.floats(0.5, 3),
    )
    def offer(self, rows: list[int], kind: str, lasts: float | None) -> None:
        deadline = None if lasts is None else self.now + lasts
        made = call(*rows, at=self.now, kind=kind, deadline=deadline)
        room = self.queue.waiting < 6
        try:
            self.queue.offer(made)
        except Overloaded:
            assert not room
            return
        assert room
        self.open.append(made)
        self.owed[id(made)] = list(range(len(rows)))

    @rule(seconds=st.floats(0, 2))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        self.close(gone := data.draw(st.sampled_from(self.open)))
        self.queue.cancel(gone)

    @rule(idle=st.integers(1, 3))
    def take(self, idle: int) -> None:
        alive = [each for each in self.open if not expired(each, self.now)]
        batch = self.queue.take(self.now, idle)
        for late in [each for each in self.open if each.dead]:
            assert expired(late, self.now)
            self.close(late)
        assert bool(batch) == bool(alive)
        if batch:
            assert batch[0].call is alive[0]
        assert len({item.kind for item in batch}) <= 1
        assert len(batch) == 1 or sum(item.rows for item in batch) <= 4
        for item in batch:
            assert not expired(item.call, self.now)
            assert self.owed[id(item.call)].pop(0) == item.payload
        served = list(dict.fromkeys(item.call for item in batch))
        for each in served:
            owed = self.owed[id(each)]
            self.close(each)
            if owed:
                self.open.append(each)
                self.owed[id(each)] = owed

    def close(self, done: Call) -> None:
        self.open.remove(done)
        del self.owed[id(done)]

    @invariant()
    def counts_what_waits(self) -> None:
        assert self.queue.waiting == len(self.open) <= 6


TestAnyLife = Life.TestCase


@given(st.lists(st.integers(1, 20), min_size=1, max_size=30), st.integers(1, 8))
def test_every_call_is_served_after_at_most_one_batch_for_each_call_before_it(
    counts: list[int], size: int
) -> None:
    waiting, offered = queue(size=size), [call(*[1] * count) for count in counts]
    for each in offered:
        waiting.offer(each)
    first_served: dict[int, int] = {}
    turn = 0
    while batch := waiting.take(0.0):
        for item in batch:
            first_served.setdefault(id(item.call), turn)
        turn += 1
    assert [first_served[id(each)] <= place for place, each in enumerate(offered)] == [True] * len(offered)


def test_a_call_that_would_be_answered_too_late_is_refused_before_it_runs() -> None:
    waiting = queue()
    knows(waiting, 0.5)
    waiting.offer(late := call(deadline=1.0))
    waiting.offer(fine := call(deadline=9.0))
    assert calls(waiting.take(0.6)) == [fine]
    assert waiting.late == [late]


def test_a_call_is_refused_at_once_if_what_waits_would_keep_it_past_its_deadline() -> None:
    waiting = queue()
    knows(waiting, 0.5)
    waiting.offer(call(*[1] * 10))
    with pytest.raises(Overloaded, match=r"would take 5\.5 s; this request has a time limit of 2\.0 s"):
        waiting.offer(call(deadline=2.0))
    waiting.offer(call(deadline=9.0))


def test_an_estimate_that_refuses_everything_gives_way_in_the_end() -> None:
    waiting = queue()
    knows(waiting, 10.0)
    refused = 0
    while not waiting.take(0.0):
        waiting.offer(call(deadline=1.0))
        refused += len(waiting.late)
    assert 10 < refused < 2000


def test_a_higher_priority_goes_first_but_passes_nobody_for_ever() -> None:
    waiting = queue(size=1)
    low, normal, high = (
        Call(at, priority=p) for at, p in ((0.0, Priority.LOW), (0.1, Priority.NORMAL), (0.5, Priority.HIGH))
    )
    later = Call(6.0, priority=Priority.HIGH)
    for each in (low, normal, high, later):
        each.add("a", 1)
        waiting.offer(each)
    order = [calls(waiting.take(0.0))[0] for _ in range(4)]
    assert order == [high, normal, low, later]


def test_a_short_item_is_not_padded_to_a_long_one_if_a_run_of_its_own_is_cheaper() -> None:
    waiting = queue(size=8)
    waiting.cost.fixed, waiting.cost.per_cost = 1.0, 0.1
    sizes = [100, 10, 95, 100, 90]
    for size in sizes:
        each = Call(0.0)
        each.add("a", 1, size, size)
        waiting.offer(each)
    batches = []
    while batch := waiting.take(0.0):
        batches.append([item.payload for item in batch])
    assert batches == [[100, 95, 100, 90], [10]]
