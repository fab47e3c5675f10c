"""Where an exception comes from, for a log that holds nothing of what clients sent.

The words of an exception may repeat an input: "could not convert string to float: 'Ada'". Its class, and the
lines of code that it went through, do not.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator

_BECAUSE = "\nThe above exception was the direct cause of the following exception:\n\n"
_MEANWHILE = "\nDuring handling of the above exception, another exception occurred:\n\n"


class Elsewhere(Exception):
    """Stands for an exception in another process; its words are what :func:`where` said there."""


def where(error: BaseException) -> str:
    """A traceback as Python prints it, without the words of the exceptions."""
    return "".join(_parts(error, set())).rstrip()


def _parts(error: BaseException, seen: set[int]) -> Iterator[str]:
    seen.add(id(error))
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None and id(before) not in seen:
        yield from _parts(before, seen)
        yield _MEANWHILE if error.__cause__ is None else _BECAUSE
    if isinstance(error, Elsewhere):
        yield f"{error}\n"
        return
    yield "Traceback (most recent call last):\n"
    yield from traceback.format_tb(error.__traceback__)
    yield f"{_name(type(error))}\n"


def _name(kind: type[BaseException]) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
