"""Tensors of several items to one batch and back, padded only as far as the longest of them.

Axis 0 counts rows. Axis 1 of an input whose spec has a ``pad`` may differ between items: its *length*.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from modelserve.batching.sharing import Sharing, fixed_axis
from modelserve.domain.inference import Array, Signature, Tensors, TensorSpec
from modelserve.errors import InvalidInput, ModelFailed


@dataclass(slots=True)
class Fit:
    """What decides who may share a batch: items of equal ``kind`` can. ``length`` is 0 where nothing pads.

    ``size`` is what one row costs: the product of its free axes, its own length among them. A batch costs its
    rows times its largest size.
    """

    kind: Hashable
    rows: int
    length: int = 0
    size: int = 1

    @property
    def cost(self) -> int:
        return self.rows * self.size


class Joiner:
    """Joins and splits by a model's signature, as far as ``sharing`` allows."""

    def __init__(self, signature: Signature, sharing: Sharing) -> None:
        self.joinable = sharing.rows and not fixed_axis(signature)
        """Whether items may share a run, and rows may be cut; else every item runs by itself and whole."""
        self._pads = {spec.name: spec.pad for spec in signature.inputs if _padded(spec)}
        self._lengths = sharing.lengths
        self._follows = follows(signature) - sharing.widths
        self._free = _free_axes(signature)
        self._counted = [spec.name for spec in signature.inputs if spec.shape[:1] == (-1,)]
        self._plain = not self._pads and not self._free and self.joinable

    def fit(self, tensors: Tensors, outputs: tuple[str, ...] = ()) -> Fit:
        """Who these may share a batch with. Raises InvalidInput where inputs disagree about their rows, or
        padded ones about their length. Datatypes and fixed axes are taken to be the signature's."""
        length = self._length(tensors) if self._pads else 0
        if not self.joinable:
            return Fit(object(), self._longest(tensors), 0, self._size(tensors))
        if self._plain:
            return Fit(outputs, _rows(tensors))
        padded = self._pads if length and self._lengths else ()
        kind = tuple(
            (name, data.dtype, data.shape[2:] if name in padded else data.shape[1:])
            for name, data in tensors.items()
        )
        return Fit((frozenset(kind), outputs), _rows(tensors), length, self._size(tensors))

    def _longest(self, tensors: Tensors) -> int:
        """The most that the first axis of an input has, where it may have any length."""
        return max((len(tensors[name]) for name in self._counted if name in tensors), default=1)

    def _size(self, tensors: Tensors) -> int:
        """The most that the free axes of one input make of a row."""
        return max(
            (math.prod(tensors[name].shape[axis] for axis in axes) for name, axes in self._free.items()),
            default=1,
        )

    def _length(self, tensors: Tensors) -> int:
        """The length that all padded inputs share; 0 where none is padded."""
        lengths = {name: tensors[name].shape[1] for name in self._pads if name in tensors}
        if len(set(lengths.values())) > 1:
            raise _disagreement("second axis counts tokens", lengths)
        return next(iter(lengths.values()), 0)

    def assemble(self, parts: Sequence[Tensors], fits: Sequence[Fit]) -> Tensors:
        """One batch of items of one kind, in their order."""
        if len(parts) == 1:
            return parts[0]
        longest = max(fit.length for fit in fits)
        return {name: self._stack(name, parts, longest) for name in parts[0]}

    def _stack(self, name: str, parts: Sequence[Tensors], longest: int) -> Array:
        arrays = [part[name] for part in parts]
        if name not in self._pads or all(a.shape[1] == arrays[0].shape[1] for a in arrays):
            return np.concatenate(arrays)
        shape = (sum(len(a) for a in arrays), longest, *arrays[0].shape[2:])
        stacked = np.full(shape, self._pads[name], dtype=arrays[0].dtype)
        start = 0
        for array in arrays:
            stacked[start : start + len(array), : array.shape[1]] = array
            start += len(array)
        return stacked

    def split(self, outputs: Tensors, fits: Sequence[Fit]) -> list[Tensors]:
        """Each item's piece, without the padding where an output's axis 1 followed the input's.

        Raises ModelFailed for outputs that do not have one row for each row of the batch.
        """
        if len(fits) == 1:
            self.check(outputs, fits[0].rows)
            return [outputs]
        self.check(outputs, sum(fit.rows for fit in fits))
        return self._pieces(outputs, fits)

    def check(self, outputs: Tensors, rows: int) -> None:
        """Raise ModelFailed for outputs of a run that do not have its number of rows, where rows are
        independent."""
        if not self.joinable:
            return
        for name, data in outputs.items():
            shape = data.shape
            if not shape or shape[0] != rows:
                raise ModelFailed(f'output "{name}": shape {list(shape)} for a batch of {rows} rows')

    def _pieces(self, outputs: Tensors, fits: Sequence[Fit]) -> list[Tensors]:
        longest = max(fit.length for fit in fits)
        pieces, start = [], 0
        for fit in fits:
            rows = slice(start, start + fit.rows)
            pieces.append({n: self._unpadded(n, data[rows], fit, longest) for n, data in outputs.items()})
            start += fit.rows
        return pieces

    def _unpadded(self, name: str, data: Array, fit: Fit, longest: int) -> Array:
        if name in self._follows and fit.length < longest and data.shape[1] == longest:
            return data[:, : fit.length]
        return data

    @staticmethod
    def chunks(tensors: Tensors, most: int) -> list[Tensors]:
        """The tensors cut along axis 0 into chunks of at most ``most`` rows, as views."""
        return [
            {name: data[start : start + most] for name, data in tensors.items()}
            for start in range(0, _rows(tensors), most)
        ]


def merge(pieces: Sequence[Tensors]) -> Tensors:
    """The outputs of the chunks of one request. Raises ModelFailed where they do not fit together."""
    if len(pieces) == 1:
        return pieces[0]
    try:
        return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}
    except ValueError:
        raise ModelFailed("the outputs differ in shape between rows; send fewer rows at once") from None


def follows(signature: Signature) -> frozenset[str]:
    """The outputs whose axis 1 may have the length of the padded inputs."""
    return frozenset(spec.name for spec in signature.outputs if spec.shape[1:2] == (-1,))


def _free_axes(signature: Signature) -> dict[str, tuple[int, ...]]:
    """The axes of any length behind the batch axis, of the inputs that have some."""
    free = {
        spec.name: tuple(axis for axis, length in enumerate(spec.shape) if axis and length == -1)
        for spec in signature.inputs
    }
    return {name: axes for name, axes in free.items() if axes}


def _padded(spec: TensorSpec) -> bool:
    return spec.pad is not None and spec.shape[1:2] == (-1,)


def _rows(tensors: Tensors) -> int:
    if len(tensors) == 1:
        (only,) = tensors.values()
        return len(only)
    rows = {name: len(data) for name, data in tensors.items()}
    if len(set(rows.values())) != 1:
        raise _disagreement("first axis counts rows", rows)
    return next(iter(rows.values()))


def _disagreement(axis: str, counts: Mapping[str, int]) -> InvalidInput:
    told = ", ".join(f'"{name}" has {count}' for name, count in counts.items())
    return InvalidInput(f"inputs: the {axis} and must agree: {told}")
