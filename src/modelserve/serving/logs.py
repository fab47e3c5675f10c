"""Structured logs: one JSON line on standard error for each event.

No line holds what a client sent. The words of an exception may, so that of one that happens on the way of a
request the class is told and where it comes from.

An *event* is a short name that stays the same ("ready", "request_failed"); its fields tell the rest. A line
that cannot be written (a full disk) is lost and counted, and hurts no request.
"""

from __future__ import annotations

import copy
import datetime
import logging
import os
import sys
import threading
import time
import traceback
from typing import Any

import orjson

from modelserve._kit.traces import where

PER_SECOND = 20
"""Lines of one event in one second; more are counted, and told with the next one that is written."""
_NAMES = {"warning": "warning", "error": "error", "info": "info", "critical": "error", "debug": "info"}


class EventLog:
    """Writes events with the fields that all of them share. Safe to use from several threads."""

    def __init__(self, descriptor: int | None = None, **shared: Any) -> None:
        self._descriptor = sys.stderr.fileno() if descriptor is None else descriptor
        self._shared = shared
        self._lock = threading.Lock()
        self._written: dict[str, tuple[int, int]] = {}
        self._skipped: dict[str, int] = {}
        self.lost = 0
        """Lines that could not be written."""

    def about(self, **fields: Any) -> EventLog:
        """The same log, with more fields that all events share."""
        other = copy.copy(self)
        other._shared = {**self._shared, **fields}
        return other

    def info(self, event: str, **fields: Any) -> None:
        self.write("info", event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        self.write("warning", event, fields)

    def error(self, event: str, error: BaseException | None = None, **fields: Any) -> None:
        """``error``: where it comes from goes out in one field, and no word of it."""
        if error is not None:
            fields["traceback"] = where(error)
        self.write("error", event, fields)

    def write(self, level: str, event: str, fields: dict[str, Any]) -> None:
        with self._lock:
            if not self._admit(event):
                return
            if skipped := self._skipped.pop(event, 0):
                fields = {**fields, "skipped": skipped}
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        line = {"ts": now, "level": level, "event": event, **self._shared, **fields}
        try:
            os.write(self._descriptor, orjson.dumps(line, default=str) + b"\n")
        except (OSError, orjson.JSONEncodeError):
            self.lost += 1

    def _admit(self, event: str) -> bool:
        second = int(time.monotonic())
        since, count = self._written.get(event, (second, 0))
        count = count + 1 if since == second else 1
        self._written[event] = (second, count)
        if count > PER_SECOND:
            self._skipped[event] = self._skipped.get(event, 0) + 1
            return False
        return True


_EVENTS = {"modelserve.engine": "engine", "modelserve.engine.output": "engine_output"}
"""Loggers of ours whose records are events, from info up."""


class Bridge(logging.Handler):
    """Carries the records of libraries (uvicorn, asyncio) into the event log."""

    def __init__(self, log: EventLog) -> None:
        super().__init__(logging.INFO)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        fields: dict[str, Any] = {"logger": record.name, "message": record.getMessage()}
        fields |= getattr(record, "fields", {})
        if record.exc_info and (error := record.exc_info[1]):
            ours = record.name.startswith("modelserve.")
            fields |= _of_ours(error) if ours else _of_a_library(record, error)
        self._log.write(
            _NAMES.get(record.levelname.lower(), "info"), _EVENTS.get(record.name, "library"), fields
        )


def _of_ours(error: BaseException) -> dict[str, Any]:
    """What we log so is about engines and servers, not about a request: it may speak."""
    return {"traceback": "".join(traceback.format_exception(error))}


def _of_a_library(record: logging.LogRecord, error: BaseException) -> dict[str, Any]:
    """asyncio's further lines repeat the words of the exception."""
    return {"message": (record.getMessage().splitlines() or [""])[0], "traceback": where(error)}


def capture_libraries(log: EventLog) -> None:
    """Send what libraries log, from warnings up, to ``log`` and nowhere else."""
    root = logging.getLogger()
    root.handlers = [Bridge(log)]
    root.setLevel(logging.WARNING)
    for name in _EVENTS:
        logging.getLogger(name).setLevel(logging.INFO)
