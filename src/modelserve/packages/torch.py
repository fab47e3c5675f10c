"""Layout: a PyTorch program, exported (.pt2) or as TorchScript (.pt, .ts, .torchscript).

Read without PyTorch, and nothing in the file runs. An exported program tells its tensors; TorchScript does
not, so its signature must be declared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from modelserve._kit.torch_archives import Kind, kind_of, read_program
from modelserve._kit.torch_guards import looks_at_rows
from modelserve._kit.torch_programs import Program, UnfitArchive, Value
from modelserve.domain.inference import DataType, Signature, TensorSpec
from modelserve.domain.models import Runtime
from modelserve.errors import InvalidPackage
from modelserve.packages.declaration import Declaration
from modelserve.packages.mlmodel import type_of
from modelserve.packages.signatures import declared_signature, narrowed
from modelserve.packages.single_file import SingleFile

_KINDS = {
    1: DataType.UINT8,
    2: DataType.INT8,
    3: DataType.INT16,
    4: DataType.INT32,
    5: DataType.INT64,
    6: DataType.FP16,
    7: DataType.FP32,
    8: DataType.FP64,
    12: DataType.BOOL,
    28: DataType.UINT16,
    34: DataType.UINT32,
    35: DataType.UINT64,
}
"""By the numbers that exported programs give them (``torch._export.serde.schema.ScalarType``)."""
_BFLOAT16 = 13


def read_signature(path: Path, declaration: Declaration, alone: bool = False) -> Signature:
    """The program's tensors, narrowed by the declaration; for TorchScript the declared ones.

    Raises InvalidPackage for checkpoints, damaged files and programs that could do more than compute.
    """
    _check_numbers(declaration)
    try:
        if kind_of(path) is Kind.TORCHSCRIPT:
            return declared_signature(path.name, declaration)
        program = read_program(path)
    except UnfitArchive as error:
        raise InvalidPackage(f"{path.name}: {error}") from error
    inputs = [_spec(path.name, "input", value) for value in program.inputs]
    outputs = [_spec(path.name, "output", value) for value in program.outputs]
    signature = narrowed(path.name, Signature(tuple(inputs), tuple(outputs)), declaration)
    return replace(signature, inputs=_with_conditions(signature.inputs, program))


TORCH = SingleFile(Runtime.TORCH, (".pt2", ".pt", ".ts", ".torchscript"), read_signature)
"""A file ``anything.pt2``, ``.pt``, ``.ts`` or ``.torchscript``, or a folder with exactly one."""


def _spec(file: str, role: str, value: Value) -> TensorSpec:
    widened = value.kind == _BFLOAT16 and role == "output"  # handed out as FP32, which holds it exactly
    datatype = DataType.FP32 if widened else _KINDS.get(value.kind)
    if datatype is None:
        raise InvalidPackage(
            f"{file}: {role} {value.name!r} has a datatype that clients can't send (number {value.kind}); "
            f"plain tensors of {', '.join(_KINDS.values())} can be served"
        )
    if not value.shape:
        raise InvalidPackage(f"{file}: {role} {value.name!r} has no axes, so no batch axis")
    return TensorSpec(value.name, datatype, value.shape, first_axis=value.first_axis)


def _with_conditions(inputs: Sequence[TensorSpec], program: Program) -> tuple[TensorSpec, ...]:
    """Those on the number of rows stand at the first input: they go for all."""
    names, shapes = [spec.name for spec in inputs], [value.shape for value in program.inputs]
    told = [guard.told(names) for guard in program.guards if looks_at_rows(guard, shapes)]
    return (replace(inputs[0], rows_if=told[0]), *inputs[1:]) if told else tuple(inputs)


def _check_numbers(declaration: Declaration) -> None:
    signature = declaration.signature
    for side, tensors in (("inputs", signature.inputs), ("outputs", signature.outputs)):
        for index, tensor in enumerate(tensors):
            if tensor.datatype is DataType.BYTES:
                place = f"{signature.place(side, index)}.{type_of(tensor)} declared for {tensor.name!r}"
                raise InvalidPackage(f"{place}; a PyTorch program works on numbers")
