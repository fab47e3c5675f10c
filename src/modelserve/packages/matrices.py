"""The signature of models that take one matrix: a row for each item, a column for each feature."""

from __future__ import annotations

from collections.abc import Sequence

from modelserve.domain.columns import in_order
from modelserve.domain.inference import DataType, Signature, TensorSpec
from modelserve.errors import InvalidPackage
from modelserve.packages.declaration import Declaration, DeclaredSignature, DeclaredTensor
from modelserve.packages.mlmodel import type_of
from modelserve.packages.signatures import narrowed, specs, without_inputs

INPUT = "input"


def matrix_signature(
    file: str,
    features: int,
    outputs: Sequence[TensorSpec],
    declaration: Declaration,
    names: Sequence[str] = (),
    datatype: DataType = DataType.FP32,
) -> Signature:
    """One matrix ``[-1, features]`` of ``datatype`` called ``input``, unless the declaration says otherwise.

    It may give another name and datatype, or split the matrix into columns: several inputs of shape ``[-1]``
    or ``[-1, n]``, side by side in their order. Columns that are called as the file calls its features
    (``names``) are put in the file's order. Raises InvalidPackage where their widths do not add up, and
    where no order is right.
    """
    inputs: tuple[TensorSpec, ...] = (TensorSpec(INPUT, datatype, (-1, features)),)
    if declaration.signature.inputs:
        _check_widths(file, features, declaration.signature)
        inputs = in_order(file, specs(declaration.signature, "inputs"), names)
    sides = narrowed(file, Signature((), tuple(outputs)), without_inputs(declaration))
    return Signature(inputs, sides.outputs)


def _check_widths(file: str, features: int, declared: DeclaredSignature) -> None:
    tensors = enumerate(declared.inputs)
    widths = sum(_width(declared.place("inputs", index), tensor) for index, tensor in tensors)
    if widths != features:
        raise InvalidPackage(
            f"{declared.place('inputs')}: declares {widths} columns, but {file} takes {features} features"
        )


def _width(place: str, tensor: DeclaredTensor) -> int:
    if tensor.datatype is DataType.BYTES:
        raise InvalidPackage(
            f"{place}.{type_of(tensor)} declared for {tensor.name!r}; a matrix holds numbers"
        )
    if len(tensor.shape) > 2 or tensor.shape[1:] == (-1,):
        raise InvalidPackage(
            f"{place}.shape: {list(tensor.shape)} declared for {tensor.name!r}; a column is [-1], "
            f"a matrix of n columns [-1, n]"
        )
    return tensor.shape[1] if len(tensor.shape) == 2 else 1
