"""What waits: calls, their items, and whose turn it is first."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

from modelserve.domain.inference import Priority

PASSED = (0.0, 1.0, 5.0)
"""Seconds for which calls of a higher priority go before one of this: after that it is in its turn."""


@dataclass(slots=True, eq=False)
class Item:
    """What cannot be cut further: ``rows`` that run together, each of cost ``size``. ``payload`` belongs to
    the caller."""

    call: Call
    kind: Hashable
    rows: int
    payload: Any = None
    size: int = 1


@dataclass(slots=True, eq=False)
class Call:
    """One client request. ``deadline`` and ``arrived`` are readings of the same clock, in seconds."""

    arrived: float
    deadline: float | None = None
    priority: Priority = Priority.NORMAL
    items: deque[Item] = field(default_factory=deque)
    """The items that still wait."""
    dead: bool = False
    """Cancelled or too late: its items never run."""
    owner: Any = None
    """Belongs to the caller."""

    def add(self, kind: Hashable, rows: int, payload: Any = None, size: int = 1) -> Item:
        item = Item(self, kind, rows, payload, size)
        self.items.append(item)
        return item

    @property
    def cost(self) -> int:
        return sum(item.rows * item.size for item in self.items)
