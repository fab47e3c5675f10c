"""What a model file tells about its tensors, joined with what modelserve.yaml declares.

A file that names its tensors well is the truth, and a declaration may only narrow it. A file whose names mean
nothing (a matrix, the results of a program) takes the declared ones, in order; where these are its own names
all the same, each stays with its tensor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from modelserve.domain.inference import Signature, TensorSpec
from modelserve.errors import InvalidPackage
from modelserve.packages.declaration import FILE_NAME, Declaration, DeclaredSignature, DeclaredTensor
from modelserve.packages.mlmodel import type_of


def declared_signature(file: str, declaration: Declaration) -> Signature:
    """The declared signature of a file that tells nothing. Raises InvalidPackage if a side is missing."""
    declared = declaration.signature
    for side, tensors in (("inputs", declared.inputs), ("outputs", declared.outputs)):
        if not tensors:
            raise InvalidPackage(
                f"{file}: does not tell its {side}; declare them in {FILE_NAME} beside it, such as "
                f"`signature: {{{side}: [{{name: x, datatype: FP32, shape: [-1, 4]}}]}}`"
            )
    return Signature(specs(declared, "inputs"), specs(declared, "outputs"))


def narrowed(file: str, found: Signature, declaration: Declaration) -> Signature:
    """The tensors that the file tells, in its order, under declared names and in declared shapes where there
    are any.

    Raises InvalidPackage where the declaration has another count, datatype or shape, or gives one tensor's
    name to another.
    """
    declared = declaration.signature
    return Signature(
        _narrow(file, "inputs", found.inputs, declared),
        _narrow(file, "outputs", found.outputs, declared),
    )


def without_inputs(declaration: Declaration) -> Declaration:
    """The declaration of the outputs alone, for files whose inputs follow rules of their own."""
    kept = declaration.signature.model_copy(update={"inputs": ()})
    return declaration.model_copy(update={"signature": kept})


def specs(declared: DeclaredSignature, side: str) -> tuple[TensorSpec, ...]:
    """The declared tensors of a side. Raises InvalidPackage where two share a name."""
    tensors: tuple[DeclaredTensor, ...] = getattr(declared, side)
    names = [tensor.name for tensor in tensors]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InvalidPackage(f"{declared.place(side)}: declares {twice!r} twice; keep one")
    return tuple(tensor.spec() for tensor in tensors)


def _narrow(
    file: str, side: str, found: Sequence[TensorSpec], declared: DeclaredSignature
) -> tuple[TensorSpec, ...]:
    tensors: tuple[DeclaredTensor, ...] = getattr(declared, side)
    if not tensors:
        return tuple(found)
    if len(tensors) != len(found):
        raise InvalidPackage(
            f"{declared.place(side)}: declares {len(tensors)}, but {file} has {len(found)}: "
            f"{', '.join(repr(spec.name) for spec in found)}"
        )
    known = specs(declared, side)
    order = _order(file, declared.place(side), found, [spec.name for spec in known])
    for index, spec in zip(order, found, strict=True):
        _check_fit(file, declared.place(side, index), spec, tensors[index])
    return tuple(
        replace(known[index], first_axis=spec.first_axis) for index, spec in zip(order, found, strict=True)
    )


def _order(file: str, place: str, found: Sequence[TensorSpec], names: Sequence[str]) -> Sequence[int]:
    """Which of the declared ``names`` is that of each tensor of the file: its own wherever it stands, or else
    the one in its place."""
    own = [spec.name for spec in found]
    if set(own) == set(names):
        return [names.index(name) for name in own]
    moved = next((name for at, name in enumerate(names) if name in own and own[at] != name), None)
    if moved is not None:
        told, has = (", ".join(map(repr, each)) for each in (names, own))
        raise InvalidPackage(
            f"{place}: declares {told}, but {file} has {has}, so that {moved!r} would be another; use its "
            f"names for all, or other names in its order"
        )
    return range(len(names))


def _check_fit(file: str, place: str, spec: TensorSpec, tensor: DeclaredTensor) -> None:
    if tensor.datatype is not spec.datatype:
        raise InvalidPackage(
            f"{place}.{type_of(tensor)} declared for {tensor.name!r}, but {file} has {spec.datatype.value}"
        )
    fits = len(tensor.shape) == len(spec.shape) and all(
        known in (-1, axis) for axis, known in zip(tensor.shape, spec.shape, strict=True)
    )
    if not fits:
        raise InvalidPackage(
            f"{place}.shape: {list(tensor.shape)} declared for {tensor.name!r}, "
            f"but {file} has {list(spec.shape)}"
        )
