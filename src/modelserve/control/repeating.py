"""Failures that repeat at every tick: told once, and again after a while with how often they came."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

QUIET = 60.0
"""Seconds in which the same is not said again."""

_Said = tuple[str, str, str]


class Repeating(logging.Filter):
    """Lets a warning or an error through if another one, or none for ``QUIET`` seconds, came before it."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._now = now
        self._told: dict[_Said, tuple[float, int]] = {}
        """When it was let through last, and how often it was held back since."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING:
            return True
        said, now = _said(record), self._now()
        since, held = self._told.get(said, (now - QUIET, 0))
        if now - since < QUIET:
            self._told[said] = since, held + 1
            return False
        if held:
            record.msg, record.args = f"{record.getMessage()} (and {held} times since it was told last)", ()
        self._told = {key: told for key, told in self._told.items() if now - told[0] < 2 * QUIET}
        self._told[said] = now, 0
        return True


def _said(record: logging.LogRecord) -> _Said:
    error = record.exc_info[1] if record.exc_info else None
    return record.name, record.getMessage(), repr(error)
