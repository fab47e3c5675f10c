"""What the adapters of engines share whose models are one function from arrays to arrays."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from modelserve._kit.onnx_errors import first_line
from modelserve.domain.inference import Array, DataType, Signature, Tensors, TensorSpec
from modelserve.errors import InvalidInput, ModelFailed, ModelServeError

Run = Callable[[Tensors, Sequence[str]], Sequence[Array | None]]
"""From tensors and the outputs that are wanted to arrays in the order of the signature's outputs; None for
one that is not wanted."""


class PlainModel:
    """A model in memory. Expects tensors that fit the signature; what comes out is held to it.

    ``turns``: why two runs may not overlap; empty if they may.
    """

    def __init__(
        self,
        signature: Signature,
        run: Run,
        said: Callable[[Exception], str] = first_line,
        steady: bool = True,
        turns: str = "",
    ) -> None:
        self.signature, self.steady, self.turns = signature, steady, turns
        self._run: Run | None = partial(_in_turn, run, threading.Lock()) if turns else run
        self._said = said

    def predict(self, tensors: Tensors, outputs: Sequence[str] = ()) -> Tensors:
        """Run one batch. Raises ModelFailed, also where the answer is not what the signature says."""
        run = self._run
        if run is None:
            raise ModelFailed("the model has been closed")
        specs = self.signature.outputs
        wanted = list(outputs) or [spec.name for spec in specs]
        try:
            arrays = run(tensors, wanted)
        except ModelServeError:
            raise
        except Exception as error:  # an engine may raise anything
            _check_finite(tensors, self._said(error))
            raise ModelFailed(f"the model failed: {self._said(error)}") from error
        if len(arrays) != len(specs):
            raise ModelFailed(f"the model gave {len(arrays)} tensors; its signature has {len(specs)} outputs")
        found = {spec.name: (spec, array) for spec, array in zip(specs, arrays, strict=True)}
        return {name: _held(*found[name]) for name in wanted}

    def close(self) -> None:
        """Let go of the model once the runs in progress are done; later calls raise ModelFailed."""
        self._run = None


def _in_turn(
    run: Run, turn: threading.Lock, tensors: Tensors, wanted: Sequence[str]
) -> Sequence[Array | None]:
    """Answers are copied within the turn: they may lie in what the next run writes to."""
    with turn:
        return [None if array is None else array.copy() for array in run(tensors, wanted)]


def _check_finite(tensors: Tensors, said: str) -> None:
    """Raise InvalidInput where a model failed on what many models do not take: NaN (a missing value),
    infinity, and numbers that are infinity to an engine that works with FP32."""
    for name, data in tensors.items():
        if data.dtype.kind != "f":
            continue
        with np.errstate(over="ignore"):
            strange = np.argwhere(~np.isfinite(data.astype(np.float32)))
        if len(strange):
            value, row = data[tuple(strange[0])], strange[0][0]
            shown = "NaN" if np.isnan(value) else f"{value:g}"
            raise InvalidInput(
                f"input {name!r}: row {row} holds {shown}; this model does not take it: {said}"
            )


def _held(spec: TensorSpec, array: Array | None) -> Array:
    """The array in the datatype of its output. Raises ModelFailed where that would change its meaning."""
    if array is None or array.ndim != len(spec.shape):
        got = None if array is None else list(array.shape)
        raise ModelFailed(f"output {spec.name!r}: the model gave shape {got}, not {list(spec.shape)}")
    if spec.datatype is DataType.BYTES:
        return _bytes(array)
    wanted = spec.datatype.numpy
    if not np.can_cast(array.dtype, wanted, "same_kind"):
        raise ModelFailed(f"output {spec.name!r}: the model gave {array.dtype}, not {spec.datatype}")
    if np.can_cast(array.dtype, wanted):
        return np.ascontiguousarray(array, wanted)
    return _narrowed(spec, array)


def _narrowed(spec: TensorSpec, array: Array) -> Array:
    """Floats may be rounded, but not to infinity, and whole numbers stay what they are."""
    with np.errstate(over="ignore"):
        held: Array = np.ascontiguousarray(array, spec.datatype.numpy)
    if held.dtype.kind == "f":
        lost = np.isinf(held)
        lost = lost & np.isfinite(array) if lost.any() else lost
    else:
        lost = held != array
    if lost.any():
        gave = f"{array[tuple(np.argwhere(lost)[0])]} as {array.dtype}"
        raise ModelFailed(
            f"output {spec.name!r}: the model gave {gave}, which {spec.datatype} can't hold; declare a wider "
            f"datatype for it"
        )
    return held


def _bytes(array: Array) -> Array:
    texts = np.empty(array.size, np.object_)
    texts[:] = [value if isinstance(value, bytes) else str(value).encode() for value in array.ravel()]
    return texts.reshape(array.shape)


def matrix(signature: Signature) -> Callable[[Tensors], Array]:
    """From tensors to one matrix: the inputs side by side, each ``[rows]`` or ``[rows, n]``."""
    names = [spec.name for spec in signature.inputs]
    if len(names) == 1 and len(signature.inputs[0].shape) == 2:
        name = names[0]
        return lambda tensors: tensors[name]

    def stacked(tensors: Tensors) -> Array:
        columns = [tensors[name] for name in names]
        return np.hstack([column.reshape(len(column), -1) for column in columns])

    return stacked


def texts(name: str, values: Array) -> list[str]:
    """BYTES of one axis as text. Raises InvalidInput for what is not UTF-8."""
    try:
        return [value.decode() for value in values.ravel()]
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"input {name!r}: {error.object[:16]!r} is not UTF-8; this model takes text"
        ) from error


class OncePerThread:
    """Does something the first time that each thread comes by: some engines count threads per thread."""

    def __init__(self, act: Callable[[], object]) -> None:
        self._act = act
        self._seen = threading.local()

    def __call__(self) -> None:
        if not hasattr(self._seen, "result"):
            self._seen.result = self._act()
