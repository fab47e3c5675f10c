"""A model that its owner wrote: every answer is checked against the signature before anyone relies on it."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from modelserve.domain.inference import Array, DataType, Signature, Tensors, TensorSpec
from modelserve.errors import InvalidInput, ModelFailed


class PythonModel:
    """Calls an object's ``predict(inputs)`` and ``stream(inputs)``; a ``predict`` that yields is a stream."""

    steady = False

    def __init__(self, instance: Any, signature: Signature) -> None:
        self.signature = signature
        self._instance = instance
        predict = getattr(instance, "predict", None)
        generates = inspect.isgeneratorfunction(predict)
        self._predict = None if generates else predict
        self._stream = predict if generates else getattr(instance, "stream", None)
        self.streams, self.whole = self._stream is not None, self._predict is not None

    def predict(self, tensors: Tensors, outputs: Sequence[str] = ()) -> Tensors:
        """One batch. Raises ModelFailed for an answer that is not what the signature says, and lets through
        what the model raises."""
        if self._predict is None:
            raise InvalidInput("this model answers in pieces; ask its generate_stream route")
        return self._checked(self._predict(tensors), _rows(tensors), outputs)

    def stream(self, tensors: Tensors, outputs: Sequence[str] = ()) -> Iterator[Tensors]:
        """The pieces of one answer; raises as ``predict`` does."""
        if self._stream is None:
            raise InvalidInput("this model does not answer in pieces")
        pieces = self._stream(tensors)
        if not isinstance(pieces, Iterator):
            raise ModelFailed(f"stream gave {_kind(pieces)}; yield one dictionary of arrays for each piece")
        try:
            for piece in pieces:
                yield self._checked(piece, _rows(tensors), outputs)
        finally:
            close = getattr(pieces, "close", None)
            if close is not None:
                close()

    def close(self) -> None:
        """Let the model end what it began, if it has a ``close`` of its own."""
        close = getattr(self._instance, "close", None)
        if callable(close):
            close()

    def _checked(self, answer: object, rows: int | None, outputs: Sequence[str]) -> Tensors:
        if not isinstance(answer, Mapping):
            raise ModelFailed(f"the model gave {_kind(answer)}; return a dictionary of arrays by output name")
        known = {spec.name: spec for spec in self.signature.outputs}
        if strange := [name for name in answer if name not in known]:
            raise ModelFailed(f"the model gave an output {strange[0]!r}; the signature has {_listed(known)}")
        wanted = list(outputs) or list(known)
        if missing := [name for name in wanted if name not in answer]:
            raise ModelFailed(f"the model gave no output {missing[0]!r}, which the signature promises")
        return {name: _tensor(answer[name], known[name], rows) for name in wanted}


def _tensor(value: object, spec: TensorSpec, rows: int | None) -> Array:
    place = f'output "{spec.name}"'
    if not isinstance(value, np.ndarray):
        raise ModelFailed(f"{place}: the model gave {_kind(value)}; return a numpy array of {spec.datatype}")
    if spec.datatype is DataType.BYTES:
        value = _bytes(value, place)
    elif value.dtype != spec.datatype.numpy:
        advice = f"the signature says {spec.datatype}: use .astype(np.{spec.datatype.numpy.name})"
        raise ModelFailed(f"{place}: the model gave {value.dtype}; {advice}")
    batch = rows if spec.shape[:1] == (-1,) and rows is not None else -1
    shape = (batch, *spec.shape[1:]) if batch != -1 else spec.shape
    if value.ndim != len(shape) or any(w not in (-1, g) for g, w in zip(value.shape, shape, strict=True)):
        said = f"{list(shape)} is wanted, by the signature and the {rows} rows of the inputs"
        raise ModelFailed(f"{place}: the model gave shape {list(value.shape)}; {said}")
    return value


def _bytes(value: Array, place: str) -> Array:
    """Texts as an object array of bytes, whichever way numpy holds them."""
    elements = [each.encode() if isinstance(each, str) else each for each in value.ravel().tolist()]
    if wrong := [each for each in elements if not isinstance(each, bytes)]:
        raise ModelFailed(f"{place}: the model gave {_kind(wrong[0])} among BYTES; give str or bytes")
    array = np.empty(len(elements), np.object_)
    array[:] = elements
    return array.reshape(value.shape)


def _rows(tensors: Tensors) -> int | None:
    return next((len(data) for data in tensors.values() if data.ndim), None)


def _kind(value: object) -> str:
    return "None" if value is None else f"a {type(value).__name__}"


def _listed(names: Mapping[str, Any]) -> str:
    return ", ".join(repr(name) for name in names)
