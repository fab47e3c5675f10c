"""Whether, and when, a failed call is sent again.

Retries help against a short fault and make an overload worse. So their number is bounded twice: for each call
by ``attempts``, and for the whole client by a budget that ``share`` of all calls fills (Finagle's retry
budget; "Site Reliability Engineering", 2016, chapter 21): when everything fails, a tenth more is sent and not
three times as much.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass

from modelserve.errors import InvalidInput, ModelServeError


@dataclass(frozen=True, slots=True)
class Retries:
    """How a client tries again. ``Retries(attempts=1)`` never does."""

    attempts: int = 3
    """Tries of one call at most, the first included."""
    first_delay: float = 0.05
    """Seconds before the second try, at most; doubled for each further one."""
    longest_delay: float = 2.0
    """Seconds between two tries, at most, unless the server asks for more."""
    share: float = 0.1
    """Retries that each call pays into the client's budget: 0.1 is one retry to ten calls."""
    reserve: int = 10
    """Retries that the budget holds at the start, and at most."""

    def __post_init__(self) -> None:
        for name in ("first_delay", "longest_delay", "share", "reserve"):
            if getattr(self, name) < 0:
                raise InvalidInput(f"retries.{name}: got {getattr(self, name)}; give 0 or more")
        if self.attempts < 1:
            raise InvalidInput(f"retries.attempts: got {self.attempts}; give 1 or more")

    def delay(self, attempt: int, error: ModelServeError, draw: Callable[[], float] = random.random) -> float:
        """Seconds to wait after try number ``attempt``, which failed with ``error``.

        A server's ``retry-after`` is kept to, and up to a quarter added so that clients do not come back all
        at once. Otherwise anything from 0 to the doubled delay ("full jitter").
        """
        if error.retry_after is not None:
            return error.retry_after * (1 + 0.25 * draw())
        return min(self.longest_delay, self.first_delay * 2.0 ** (attempt - 1)) * draw()


class Budget:
    """The retries that a client may still spend; shared by all its threads and tasks."""

    def __init__(self, retries: Retries) -> None:
        self._share, self._most = retries.share, float(retries.reserve)
        self._tokens = self._most
        self._lock = threading.Lock()

    def earn(self) -> None:
        """A call begins."""
        with self._lock:
            self._tokens = min(self._most, self._tokens + self._share)

    def spend(self) -> bool:
        """Take one retry; False if there is none left."""
        with self._lock:
            if self._tokens < 1:
                return False
            self._tokens -= 1
            return True
