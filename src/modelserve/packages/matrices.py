"""The signature of models that take one matrix: a row for each item, a column for each feature."""

from __future__ import annotations

from collections.abc import Sequence

from modelserve.domain.inference import DataType, Signature, TensorSpec
from modelserve.errors import InvalidPackage
from modelserve.packages.declaration import FILE_NAME, Declaration, DeclaredTensor
from modelserve.packages.signatures import check_names, narrowed, without_inputs

INPUT = "input"


def matrix_signature(
    file: str, features: int, outputs: Sequence[TensorSpec], declaration: Declaration
) -> Signature:
    """One FP32 matrix ``[-1, features]`` called ``input``, unless the declaration says otherwise.

    It may give another name and datatype, or split the matrix into columns: several inputs of shape ``[-1]``
    or ``[-1, n]``, side by side in their order. Raises InvalidPackage where their widths do not add up.
    """
    inputs: tuple[TensorSpec, ...] = (TensorSpec(INPUT, DataType.FP32, (-1, features)),)
    if tensors := declaration.signature.inputs:
        check_names("inputs", tensors)
        _check_widths(file, features, tensors)
        inputs = tuple(TensorSpec(tensor.name, tensor.datatype, tensor.shape) for tensor in tensors)
    sides = narrowed(file, Signature((), tuple(outputs)), without_inputs(declaration))
    return Signature(inputs, sides.outputs)


def _check_widths(file: str, features: int, tensors: Sequence[DeclaredTensor]) -> None:
    widths = [_width(index, tensor) for index, tensor in enumerate(tensors)]
    if sum(widths) != features:
        raise InvalidPackage(
            f"{FILE_NAME}: signature.inputs: declares {sum(widths)} columns, "
            f"but {file} takes {features} features"
        )


def _width(index: int, tensor: DeclaredTensor) -> int:
    key = f"{FILE_NAME}: signature.inputs[{index}]"
    if tensor.datatype is DataType.BYTES:
        raise InvalidPackage(f"{key}.datatype: BYTES declared for {tensor.name!r}; a matrix holds numbers")
    if len(tensor.shape) > 2 or tensor.shape[1:] == (-1,):
        raise InvalidPackage(
            f"{key}.shape: {list(tensor.shape)} declared for {tensor.name!r}; a column is [-1], "
            f"a matrix of n columns [-1, n]"
        )
    return tensor.shape[1] if len(tensor.shape) == 2 else 1
