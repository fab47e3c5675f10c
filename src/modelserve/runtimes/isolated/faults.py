"""A model's exception on its way from one process to another: as words, never as an object."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from modelserve import errors
from modelserve._kit.traces import Elsewhere, where
from modelserve.errors import ModelFailed, ModelServeError

_SHOWN = 300


def describe_fault(error: Exception) -> dict[str, Any]:
    """What the head of a message says of an exception."""
    known = isinstance(error, ModelServeError)
    told = error.message if isinstance(error, ModelServeError) else f"the model failed: {in_words(error)}"
    code = error.code if isinstance(error, ModelServeError) else ModelFailed.code
    quiet = known and error.__cause__ is None
    after = error.retry_after if isinstance(error, ModelServeError) else None
    trace = "" if quiet else where(error)
    return {"code": code, "message": told, "retry_after": after, "traceback": trace}


def restore_fault(told: Mapping[str, Any]) -> ModelServeError:
    """The error to raise; a traceback is its cause, which clients never see."""
    kind = _BY_CODE.get(str(told.get("code")), ModelFailed)
    error = kind(str(told.get("message")), retry_after=told.get("retry_after"))
    if trace := told.get("traceback"):
        error.__cause__ = Elsewhere(trace)
    return error


def in_words(error: BaseException) -> str:
    """The exception's class and the first line of its message, as the last line of a traceback."""
    said = (str(error).strip().splitlines() or [""])[0]
    line = f"{type(error).__name__}: {said}" if said else type(error).__name__
    return line if len(line) <= _SHOWN else line[: _SHOWN - 1] + "…"


def _leaves(base: type[ModelServeError]) -> Iterator[type[ModelServeError]]:
    for kind in base.__subclasses__():
        yield kind
        yield from _leaves(kind)


_BY_CODE = {kind.code: kind for kind in _leaves(ModelServeError) if kind.__module__ == errors.__name__}
_BY_CODE[ModelServeError.code] = ModelServeError
