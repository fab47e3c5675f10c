"""What goes into a model and what comes out of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Tensors = dict[str, Array]
EXTENSIONS = ("binary_tensor_data",)
"""Extensions of the Open Inference Protocol that a server speaks."""
REPOSITORY_EXTENSION = "model_repository"
"""The one that a server of many models speaks too."""


ROWS = "rows"
"""The name of axis 0 where a layout or a declaration says that it counts rows."""


class DataType(StrEnum):
    """Tensor element types, by their names in the Open Inference Protocol v2."""

    BOOL = "BOOL"
    UINT8 = "UINT8"
    UINT16 = "UINT16"
    UINT32 = "UINT32"
    UINT64 = "UINT64"
    INT8 = "INT8"
    INT16 = "INT16"
    INT32 = "INT32"
    INT64 = "INT64"
    FP16 = "FP16"
    FP32 = "FP32"
    FP64 = "FP64"
    BYTES = "BYTES"

    @property
    def numpy(self) -> np.dtype[Any]:
        """The numpy dtype that holds this type; BYTES is an object array of ``bytes``."""
        dtype: np.dtype[Any] = np.dtype(_NUMPY[self])
        return dtype

    @classmethod
    def of(cls, dtype: np.dtype[Any]) -> DataType:
        """The type that names a numpy dtype. Raises KeyError for one that the protocol lacks."""
        return _BY_NUMPY[dtype]


_NUMPY: dict[DataType, Any] = {
    DataType.BOOL: np.bool_,
    DataType.UINT8: np.uint8,
    DataType.UINT16: np.uint16,
    DataType.UINT32: np.uint32,
    DataType.UINT64: np.uint64,
    DataType.INT8: np.int8,
    DataType.INT16: np.int16,
    DataType.INT32: np.int32,
    DataType.INT64: np.int64,
    DataType.FP16: np.float16,
    DataType.FP32: np.float32,
    DataType.FP64: np.float64,
    DataType.BYTES: np.object_,
}
_BY_NUMPY = {np.dtype(value): key for key, value in _NUMPY.items()}


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One named input or output of a model.

    ``shape`` has the batch axis first; ``-1`` marks an axis of any length. ``pad`` is the value with which
    axis 1 may be filled up so that items of different length share a batch, or None if it may not.

    Where values may be missing, the datatype is a float: NaN stands for them.
    """

    name: str
    datatype: DataType
    shape: tuple[int, ...]
    pad: int | None = None
    first_axis: str | None = field(default=ROWS, compare=False)
    """What the model calls axis 0 where it may have any length: tensors that call it alike have as many rows.
    None where it has no name. Clients do not see it."""
    rows_if: str = field(default="", compare=False)
    """Of an input: what the model takes for granted about the number of rows, for people; empty where any
    number will do."""
    nullable: bool = False
    """Whether single values may be missing: null in JSON."""
    optional: bool = False
    """Whether a client may leave the whole input out; every axis but the first has a known length then."""


@dataclass(frozen=True, slots=True)
class Signature:
    """The tensors that a model takes and gives, in order."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


@dataclass(frozen=True, slots=True)
class Entity:
    """A named entity: ``start`` and ``end`` (exclusive) count code points of the original string."""

    text: str
    label: str
    score: float
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Label:
    """One class with its probability in 0..1; of a regression, with its value."""

    label: str
    score: float


class CacheUse(StrEnum):
    """What a client wants of the cache of answers, where the service has one."""

    USE = "use"
    BYPASS = "bypass"
    """Neither read nor written."""
    REFRESH = "refresh"
    """Run the model, and keep the answer in place of the old one."""


class CacheOutcome(StrEnum):
    """How an answer came about, where the service has a cache of answers."""

    HIT = "hit"
    """It was there, or another client's equal request was just being answered."""
    MISS = "miss"
    """The model ran."""
    BYPASS = "bypass"
    """The model ran, and the cache was left alone."""


class Priority(IntEnum):
    """Whose turn it is first, the smaller the sooner."""

    HIGH = 0
    NORMAL = 1
    LOW = 2


@dataclass(slots=True)
class InferenceRequest:
    """One client call, after its protocol has been taken off. Nobody changes it; it is not frozen because
    that triples what making one costs, and one is made for every call. So with the response.

    Exactly one of ``tensors`` (batch axis first) and ``items`` (texts or encoded images, for the model's
    task) is set. ``deadline`` is a reading of the monotonic clock in seconds.
    """

    model: str
    request_id: str
    tensors: Tensors | None = None
    items: tuple[str | bytes, ...] | None = None
    outputs: tuple[str, ...] = ()
    revision: str | None = None
    deadline: float | None = None
    cache: CacheUse = CacheUse.USE
    priority: Priority = Priority.NORMAL


@dataclass(slots=True)
class InferenceResponse:
    """What a model answered: ``tensors`` to tensors, ``answers`` (one per item) to a task's items.

    ``cache`` is None where the service keeps no answers.
    """

    model: str
    revision: str
    request_id: str
    tensors: Tensors | None = None
    answers: tuple[tuple[Entity, ...] | tuple[Label, ...], ...] | None = None
    cache: CacheOutcome | None = None
