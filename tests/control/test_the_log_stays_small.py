"""What fails at every tick does not fill the disk."""

import asyncio
import io
import logging
import sys

import pytest

from modelserve.control import local, loop, main
from modelserve.control.repeating import Repeating
from modelserve.domain.routes import Endpoint
from modelserve.settings import Home, PlatformSettings


class Clock:
    now = 0.0


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def said(clock, monkeypatch):
    """What the controller's log has."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(Repeating(lambda: clock.now))
    log = logging.getLogger("modelserve.control")
    log.addHandler(handler)
    yield stream.getvalue
    log.removeHandler(handler)


async def rounds(act, count):
    """That many rounds of the controller's loop."""
    stop, done = asyncio.Event(), 0

    async def turn():
        nonlocal done
        done += 1
        if done == count:
            stop.set()
        await act()

    await loop._repeat(turn, 0.0, stop)


def failing(words):
    async def act():
        raise OSError(words)

    return act


async def test_a_round_that_fails_again_and_again_is_told_once(said, clock):
    await rounds(failing("no Envoy"), 5)
    assert said().count("Traceback") == 1
    clock.now = 59.0
    await rounds(failing("no Envoy"), 1)
    assert said().count("Traceback") == 1
    clock.now = 60.0
    await rounds(failing("no Envoy"), 1)
    assert said().count("Traceback") == 2
    assert "(and 5 times since it was told last)" in said()


async def test_another_failure_is_told_at_once(said):
    for words in ("no Envoy", "no port", "no Envoy"):
        await rounds(failing(words), 2)
    assert [said().count(f"OSError: {words}") for words in ("no Envoy", "no port")] == [1, 1]


async def test_what_is_no_failure_is_told_each_time(said):
    log = logging.getLogger("modelserve.control")
    log.setLevel(logging.INFO)
    log.info("hello")
    log.info("hello")
    assert said().count("hello") == 2


def test_the_controller_logs_in_this_way(monkeypatch):
    monkeypatch.setattr(logging.root, "handlers", [])
    monkeypatch.setattr(sys, "stderr", stream := io.StringIO())
    main._log()
    for _ in range(3):
        logging.getLogger("modelserve.control").error("no Envoy")
    assert stream.getvalue().count("no Envoy") == 1


async def test_the_controllers_log_is_set_aside_once_it_is_long(tmp_path, monkeypatch):
    monkeypatch.setattr(local, "LOG_LIMIT", 8)
    home = Home(tmp_path)
    home.log.write_text("many words")
    settings = PlatformSettings(home=tmp_path)
    async with local.assemble(home, settings, Endpoint("127.0.0.1", 1)) as platform:
        for errand in platform.errands:
            await errand()
    assert home.log.read_text() == ""
    assert home.log.with_suffix(".log.1").read_text() == "many words"
