"""The file MLmodel: flavors and the signature of an MLflow model.

Source: https://mlflow.org/docs/latest/ml/model/ and mlflow/types/schema.py. Tensors have NumPy's datatypes
and shapes; columns have datatypes of their own, and each becomes a tensor of one axis.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from modelserve.domain.inference import DataType
from modelserve.errors import InvalidPackage
from modelserve.packages.declaration import Declaration, DeclaredSignature, DeclaredTensor
from modelserve.packages.reading import read_text

MLMODEL = "MLmodel"
MAX_BYTES = 4 * 1024 * 1024

_TENSORS = {
    "bool": DataType.BOOL,
    "float16": DataType.FP16,
    "float32": DataType.FP32,
    "float64": DataType.FP64,
    "object": DataType.BYTES,
    "str": DataType.BYTES,
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


@dataclass(frozen=True)
class Told:
    """What MLmodel says about tensors."""

    inputs: tuple[DeclaredTensor, ...] = ()
    outputs: tuple[DeclaredTensor, ...] = ()

    def under(self, declaration: Declaration) -> Declaration:
        """The declaration with what it leaves open filled in."""
        given = declaration.signature
        joined = DeclaredSignature(inputs=given.inputs or self.inputs, outputs=given.outputs or self.outputs)
        return declaration.model_copy(update={"signature": joined})


def declared_in(mlmodel: Mapping[str, Any], sides: Sequence[str]) -> Told:
    """These sides of the signature. Raises InvalidPackage for types that no tensor has."""
    signature = mlmodel.get("signature")
    if not isinstance(signature, dict):
        return Told()
    return Told(**{side: _side(side, signature.get(side)) for side in sides})


def _side(side: str, text: Any) -> tuple[DeclaredTensor, ...]:
    if not text:
        return ()
    try:
        entries = json.loads(text)
        return tuple(_tensor(side, index, entry, len(entries)) for index, entry in enumerate(entries))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InvalidPackage(
            f"{MLMODEL}: signature.{side}: can't be read ({error}); declare the signature in modelserve.yaml"
        ) from error


def _tensor(side: str, index: int, entry: Mapping[str, Any], count: int) -> DeclaredTensor:
    unnamed = _UNNAMED[side] if count == 1 else f"{_UNNAMED[side]}_{index}"
    name, kind = entry.get("name") or unnamed, entry["type"]
    if kind == "tensor":
        spec = entry["tensor-spec"]
        datatype, shape = _TENSORS.get(spec["dtype"]), tuple(spec["shape"])
    else:
        datatype, shape = _COLUMNS.get(kind), (-1,)
    if datatype is None:
        raise ValueError(f"{name!r} is a {kind}")
    return DeclaredTensor(name=name, datatype=datatype, shape=shape)
