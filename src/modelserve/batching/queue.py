"""A bounded queue of calls from which batches are taken.

Work-conserving: with no delay asked for, a free worker takes what waits. In turn: the call at the head is
in the next batch; a call with more items than fit goes to the back, so that a large call delays a small
one by a batch, not by itself. What is known of the model's speed decides who shares a batch (padding must
not cost more than a run of its own) and what is refused because it can't be answered in time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

from modelserve.batching.calls import PASSED, Call, Item
from modelserve.batching.cost import CostModel
from modelserve.batching.forming import Batch
from modelserve.domain.inference import Priority
from modelserve.errors import Overloaded

SCANNED = 512
"""Calls looked at, at most, to fill one batch: what does not fit must not make taking slow."""


class BatchQueue:
    """Not safe for threads: the caller holds one lock around every method.

    Parameters: rows in a batch, seconds that a free worker waits for company (0: never), calls that may
    wait, workers that take, and what is known of the model's speed.
    """

    def __init__(
        self,
        max_size: int,
        max_delay: float,
        max_waiting: int,
        workers: int = 1,
        cost: CostModel | None = None,
    ) -> None:
        self._max_size, self._max_delay, self._max_waiting = max_size, max_delay, max_waiting
        self._workers = workers
        self.cost = cost or CostModel()
        self.late: list[Call] = []
        """Calls that were dropped because they can't be answered in time; the caller's to tell."""
        self._lanes: tuple[deque[Call], ...] = tuple(deque() for _ in Priority)
        self._rows = self._cost = self._waiting = 0

    @property
    def waiting(self) -> int:
        """Calls with items that wait."""
        return self._waiting

    @property
    def backlog(self) -> float:
        """Seconds until what waits has run, as far as is known."""
        fixed = self._waiting * self.cost.fixed / self._max_size
        return (fixed + self.cost.per_cost * self._cost) / self._workers

    def offer(self, call: Call) -> None:
        """Add a call at the back. Raises Overloaded, with the seconds until the queue may have drained, where
        it is full or what waits would keep the call past its deadline."""
        self.require_room()
        cost = call.cost
        if call.deadline is not None and self._waiting and self.cost.sure:
            self._require_time(call.deadline - call.arrived, cost)
        self._lanes[call.priority].append(call)
        self._waiting += 1
        self._cost += cost
        self._rows += sum(item.rows for item in call.items)

    def require_room(self) -> None:
        """Raise Overloaded if the queue is full."""
        if self._waiting >= self._max_waiting:
            message = f"{self._waiting} requests wait already, which is the most that may; try again later"
            raise Overloaded(message, retry_after=self.backlog)

    def _require_time(self, left: float, cost: int) -> None:
        needed = self.backlog + self.cost.seconds(cost)
        if needed > left:
            self.cost.doubt()
            message = f"an answer would take {needed:.1f} s; this request has a time limit of {left:.1f} s"
            raise Overloaded(message, retry_after=self.backlog)

    def cancel(self, call: Call) -> None:
        """Drop the items of a call that still wait. Safe to repeat, and after all were taken."""
        if not call.dead:
            call.dead = True
            self._forget(call)
            lane = self._lanes[call.priority]
            if len(lane) > 2 * self._max_waiting:
                alive = [each for each in lane if each.items]
                lane.clear()
                lane.extend(alive)

    def _forget(self, call: Call) -> None:
        if call.items:
            self._waiting -= 1
            self._rows -= sum(item.rows for item in call.items)
            self._cost -= call.cost
            call.items.clear()

    def due(self, now: float) -> float | None:
        """Seconds until :meth:`take` gives what waits now; 0 at once, None if nothing waits."""
        head = self._head(now)
        if head is None:
            return None
        if self._rows >= self._max_size or not self._max_delay:
            return 0.0
        return max(0.0, head.arrived + self._max_delay - now)

    def take(self, now: float, idle: int = 1) -> Sequence[Item]:
        """The next batch, empty if none is due: items of one kind, at most ``max_size`` rows together (one
        item alone may have more). ``idle`` workers, this one included, share what waits."""
        head = self._head(now)
        if head is None or (self._max_delay and self.due(now)):
            return ()
        share = -(-self._rows // max(1, idle))
        return self._fill(head, min(self._max_size, share), now)

    def _head(self, now: float) -> Call | None:
        """The first call that is alive in the lane whose turn it is; drops the dead before it."""
        heads = [call for lane in self._lanes if lane and (call := self._first(lane, now))]
        if len(heads) < 2:
            return heads[0] if heads else None
        return min(heads, key=lambda call: call.arrived + PASSED[call.priority])

    def _first(self, lane: deque[Call], now: float) -> Call | None:
        while lane:
            if self._alive(lane[0], now):
                return lane[0]
            lane.popleft()
        return None

    def _alive(self, call: Call, now: float) -> bool:
        if call.dead or not call.items:
            return False
        if call.deadline is not None and now + self._least(call) >= call.deadline:
            if now < call.deadline:
                self.cost.doubt()
            call.dead = True
            self._forget(call)
            self.late.append(call)
            return False
        return True

    def _least(self, call: Call) -> float:
        """Seconds that the call's next item takes at least, if that is known."""
        if not self.cost.sure:
            return 0.0
        item = call.items[0]
        return self.cost.seconds(item.rows * item.size)

    def _fill(self, head: Call, size: int, now: float) -> list[Item]:
        batch = Batch(head.items[0], size, self.cost)
        for lane in self._in_turn(head):
            passed: list[Call] = []
            again: list[Call] = []
            while lane and batch.rows < size and len(passed) < SCANNED:
                call = lane.popleft()
                if not self._alive(call, now):
                    continue
                before = len(batch.items)
                self._take_from(call, batch)
                if call.items:
                    (again if len(batch.items) > before else passed).append(call)
            lane.extendleft(reversed(passed))
            lane.extend(again)
        return batch.items

    def _in_turn(self, head: Call) -> Iterator[deque[Call]]:
        """The head's lane, then the others by priority."""
        yield self._lanes[head.priority]
        yield from (lane for number, lane in enumerate(self._lanes) if lane and number != head.priority)

    def _take_from(self, call: Call, batch: Batch) -> None:
        """Move the leading items of a call that fit into the batch."""
        while call.items and batch.admits(call.items[0]):
            item = call.items.popleft()
            batch.add(item)
            self._rows -= item.rows
            self._cost -= item.rows * item.size
        if not call.items:
            self._waiting -= 1
