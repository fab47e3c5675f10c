"""A trace says where an exception comes from, and none of its words."""

from __future__ import annotations

import traceback
from collections.abc import Callable

import pytest

from modelserve._kit.traces import Elsewhere, where


def fail(words: str) -> None:
    raise ValueError(words)


def caught(run: Callable[[], None]) -> BaseException:
    try:
        run()
    except BaseException as error:
        return error
    raise AssertionError("it did not fail")


def because() -> None:
    try:
        fail("private")
    except ValueError as error:
        raise RuntimeError("also private") from error


def meanwhile() -> None:
    try:
        fail("private")
    except ValueError:
        raise RuntimeError("also private")  # noqa: B904 - what is looked at


def alone() -> None:
    try:
        fail("private")
    except ValueError:
        raise RuntimeError("also private") from None


@pytest.mark.parametrize("run", [lambda: fail("private"), because, meanwhile, alone])
def test_as_python_does_but_for_the_words(run: Callable[[], None]) -> None:
    error = caught(run)
    as_python = "".join(traceback.format_exception(error)).rstrip()
    assert where(error) == as_python.replace(": also private", "").replace(": private", "")


def test_also_what_happened_in_another_process() -> None:
    there = where(caught(lambda: fail("private")))
    error = caught(because)
    error.__cause__ = Elsewhere(there)
    assert where(error).startswith(there)
    assert where(error).endswith("RuntimeError")


def test_of_exceptions_that_point_at_each_other() -> None:
    first, second = ValueError("private"), RuntimeError("private")
    first.__cause__, second.__cause__ = second, first
    assert where(first).count("Error") == 2
