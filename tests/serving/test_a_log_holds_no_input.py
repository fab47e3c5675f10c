"""A log holds no input, whoever logs an exception whose words repeat one."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from modelserve.serving.logs import Bridge, EventLog

INPUT = "Quellwitzia"


@pytest.fixture
def lines(tmp_path: Path) -> Iterator[tuple[EventLog, Callable[[], list[dict[str, Any]]]]]:
    """A log, and what was written to it."""
    path = tmp_path / "log"
    with path.open("wb") as file:
        yield EventLog(file.fileno()), lambda: [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def library(lines: Any) -> Iterator[Callable[[str], logging.Logger]]:
    """Loggers that write to the log as a model server's do."""
    bridge, loggers = Bridge(lines[0]), []

    def logger(name: str) -> logging.Logger:
        found = logging.getLogger(name)
        found.addHandler(bridge)
        loggers.append(found)
        return found

    yield logger
    for each in loggers:
        each.removeHandler(bridge)


def read(text: str) -> float:
    return float(text)


def test_of_a_call_that_failed(lines: Any) -> None:
    log, written = lines
    try:
        read(INPUT)
    except ValueError as error:
        log.error("request_failed", error, code="internal")
    (line,) = written()
    assert line["traceback"].endswith("\nValueError")
    assert "in read" in line["traceback"]
    assert INPUT not in str(line)


def test_of_a_task_that_nobody_waited_for(lines: Any, library: Any) -> None:
    _, written = lines
    library("asyncio")

    async def forget() -> None:
        async def fail() -> None:
            read(INPUT)

        task = asyncio.ensure_future(fail())
        await asyncio.wait({task})
        del task
        gc.collect()

    asyncio.run(forget())
    (line,) = written()
    assert line["message"] == "Task exception was never retrieved"
    assert "in read" in line["traceback"]
    assert INPUT not in str(line)


def test_and_yet_says_what_our_supervisors_say(lines: Any, library: Any) -> None:
    """They know no request."""
    _, written = lines
    try:
        raise OSError("no more processes")
    except OSError:
        library("modelserve.engine").exception("the supervisor failed")
    (line,) = written()
    assert line["event"] == "engine"
    assert "no more processes" in line["traceback"]
