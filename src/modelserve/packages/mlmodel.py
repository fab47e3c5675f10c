"""The file MLmodel: flavors and the signature of an MLflow model.

Source: https://mlflow.org/docs/latest/ml/model/ and mlflow/types/schema.py. Tensors have NumPy's datatypes
and shapes; columns have datatypes of their own, and each becomes a tensor of one axis.
"""

from __future__ import annotations

import json
import re
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from modelserve.domain.inference import DataType
from modelserve.errors import InvalidPackage
from modelserve.packages.declaration import (
    Declaration,
    DeclaredSignature,
    DeclaredTensor,
    key_of,
    said,
)
from modelserve.packages.reading import read_text

MLMODEL = "MLmodel"
MAX_BYTES = 4 * 1024 * 1024

_TENSORS = {
    "bool": DataType.BOOL,
    "float16": DataType.FP16,
    "float32": DataType.FP32,
    "float64": DataType.FP64,
} | {
    f"{sign}int{bits}": DataType(f"{sign.upper()}INT{bits}") for sign in ("", "u") for bits in (8, 16, 32, 64)
}
_COLUMNS = {
    "boolean": DataType.BOOL,
    "integer": DataType.INT32,
    "long": DataType.INT64,
    "float": DataType.FP32,
    "double": DataType.FP64,
    "string": DataType.BYTES,
}
_TEXTS = re.compile(r"object|(str|bytes)\d*")
_UNNAMED = {"inputs": "input", "outputs": "output"}


def read_mlmodel(folder: Path) -> Mapping[str, Any]:
    """The file's content, with ``flavors``. Raises InvalidPackage."""
    try:
        content = yaml.safe_load(read_text(folder / MLMODEL, MAX_BYTES))
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        first = (str(error).splitlines() or ["?"])[0]
        raise InvalidPackage(f"{MLMODEL}: not YAML: {first}") from error
    if not isinstance(content, dict) or not isinstance(content.get("flavors"), dict):
        raise InvalidPackage(f"{MLMODEL}: has no flavors; save the model again with MLflow")
    return content


class JoinedSignature(DeclaredSignature):
    """Sides from modelserve.yaml, and from MLmodel those that it leaves open (``told``)."""

    told: frozenset[str] = frozenset()

    def place(self, side: str, index: int | None = None) -> str:
        return f"{MLMODEL}: {key_of(side, index)}" if side in self.told else super().place(side, index)


class ToldTensor(DeclaredTensor):
    """A tensor from MLmodel, which has words of its own for datatypes."""

    key: str
    word: str


def type_of(tensor: DeclaredTensor) -> str:
    """The key that gives its datatype, and the value, as its file has them: ``type: string``."""
    if isinstance(tensor, ToldTensor):
        return f"{tensor.key}: {tensor.word}"
    return f"datatype: {tensor.datatype.value}"


@dataclass(frozen=True)
class Told:
    """What MLmodel says about tensors."""

    inputs: tuple[DeclaredTensor, ...] = ()
    outputs: tuple[DeclaredTensor, ...] = ()

    def under(self, declaration: Declaration) -> Declaration:
        """The declaration with what it leaves open filled in."""
        given = declaration.signature
        sides = {side: getattr(given, side) or getattr(self, side) for side in _UNNAMED}
        told = frozenset(side for side in _UNNAMED if not getattr(given, side))
        return declaration.model_copy(update={"signature": JoinedSignature(**sides, told=told)})


def declared_in(mlmodel: Mapping[str, Any], sides: Sequence[str], missing: bool = False) -> Told:
    """These sides of the signature. ``missing`` tells whether the engine takes NaN for what a client leaves
    out; else all columns are required. Raises InvalidPackage for types that no tensor has."""
    signature = mlmodel.get("signature")
    if not isinstance(signature, dict):
        return Told()
    return Told(**{side: _side(side, signature.get(side), missing and side == "inputs") for side in sides})


def _side(side: str, told: Any, missing: bool) -> tuple[DeclaredTensor, ...]:
    try:
        entries = _entries(told)
        unnamed = _UNNAMED[side]
        names = [unnamed] if len(entries) == 1 else [f"{unnamed}_{index}" for index in range(len(entries))]
        return tuple(_tensor(entry, name, missing) for entry, name in zip(entries, names, strict=True))
    except (ValueError, RecursionError) as error:
        raise InvalidPackage(
            f"{MLMODEL}: {key_of(side)}: can't be read ({error}); declare the signature in modelserve.yaml"
        ) from error


def _entries(told: Any) -> list[Any]:
    """As MLflow writes them, a text of JSON, or as YAML."""
    entries = json.loads(told) if isinstance(told, str) and told else told
    if not isinstance(entries, list | None):
        raise ValueError(f"{reprlib.repr(entries)} is no list of columns or tensors")
    return entries or []


def _tensor(entry: Any, unnamed: str, missing: bool) -> DeclaredTensor:
    if not isinstance(entry, dict) or "type" not in entry:
        raise ValueError(f"{reprlib.repr(entry)} has no type")
    name = _name(entry.get("name"), unnamed)
    spec = _tensor_spec(entry) if entry["type"] == "tensor" else _column(entry, missing)
    if spec is None:
        raise ValueError(f"{name!r} is of type {_kind(entry)}, which no tensor has")
    try:
        return ToldTensor(name=name, **spec)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        key = ".".join(map(str, fault["loc"]))
        raise ValueError(f"{name!r}: {key}: {reprlib.repr(fault['input'])}: {said(fault)}") from error


def _name(told: Any, unnamed: str) -> str:
    """A column of a data frame without names is called by its number."""
    if told is None or told == "":
        return unnamed
    if isinstance(told, bool) or not isinstance(told, str | int):
        raise ValueError(f"the name {reprlib.repr(told)} is neither a text nor a whole number")
    return str(told)


def _tensor_spec(entry: Mapping[str, Any]) -> dict[str, Any] | None:
    spec = entry.get("tensor-spec")
    if not isinstance(spec, dict) or not isinstance(spec.get("shape"), list):
        return None
    kind = str(spec.get("dtype"))
    datatype = DataType.BYTES if _TEXTS.fullmatch(kind) else _TENSORS.get(kind)
    if datatype is None:
        return None
    word = {"key": "tensor-spec.dtype", "word": kind}
    return {"datatype": datatype, "shape": tuple(spec["shape"]), **word}


def _column(entry: Mapping[str, Any], missing: bool) -> dict[str, Any] | None:
    """Floats may be missing in any column, as for MLflow's own server; others where the column is optional,
    and then they come as floats, too."""
    datatype = _COLUMNS.get(str(entry["type"]))
    if datatype is None:
        return None
    optional = missing and datatype is not DataType.BYTES and _is_optional(entry)
    if optional and not datatype.startswith("FP"):
        datatype = DataType.FP64
    nullable = missing and datatype.startswith("FP")
    word = {"key": "type", "word": str(entry["type"])}
    return {"datatype": datatype, "shape": (-1,), "nullable": nullable, "optional": optional, **word}


def _is_optional(entry: Mapping[str, Any]) -> bool:
    """``required: false``; ``optional: true`` before MLflow 2.10, which some wrote as a text."""
    return str(entry.get("required", True)).lower() == "false" or str(entry.get("optional")).lower() == "true"


def _kind(entry: Mapping[str, Any]) -> str:
    spec = entry.get("tensor-spec")
    dtype = f" {spec.get('dtype')}" if isinstance(spec, dict) else ""
    return f"{reprlib.repr(entry['type'])}{dtype}"
