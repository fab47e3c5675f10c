"""Whether a graph fits its task: the tensors that each task fills and reads."""

from __future__ import annotations

from collections.abc import Sequence

from modelserve.domain.inference import DataType, Signature, TensorSpec
from modelserve.domain.models import Task
from modelserve.errors import InvalidPackage
from modelserve.packages.declaration import FILE_NAME

TEXT_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_IDS = (DataType.INT64, DataType.INT32)
_REALS = (DataType.FP32, DataType.FP16)
_NUMBERS = (*_REALS, DataType.FP64)
_ANSWERS = {
    Task.TOKEN_CLASSIFICATION: (3, "[batch, tokens, labels]"),
    Task.IMAGE_CLASSIFICATION: (2, "[batch, labels]"),
}
LOGITS = "logits"


def logits_of(file: str, task: Task, signature: Signature, labels: int | None) -> TensorSpec:
    """The output that holds the answer of a classification model with so many labels, if that is known.

    The one that is called logits, as in exports of Hugging Face, wherever it stands; else the only one of the
    right shape. Raises InvalidPackage where several are.
    """
    outputs = signature.outputs
    named = next((spec for spec in outputs if spec.name == LOGITS), None)
    if named is not None or len(outputs) == 1:
        return named or outputs[0]
    fitting = [spec for spec in outputs if _may_be_logits(spec, task, labels)]
    if len(fitting) > 1:
        raise InvalidPackage(
            f"{file}: outputs {_quoted([spec.name for spec in fitting])} may each hold the logits; call one "
            f"{LOGITS!r}, or declare it alone under signature.outputs in {FILE_NAME}"
        )
    return (fitting or outputs)[0]


def _may_be_logits(spec: TensorSpec, task: Task, labels: int | None) -> bool:
    rank, _ = _ANSWERS[task]
    return (
        len(spec.shape) == rank
        and spec.datatype in _NUMBERS
        and (labels is None or spec.shape[-1] in (-1, labels))
    )


def check_fitness(
    file: str, task: Task, signature: Signature, logits: TensorSpec, labels: Sequence[str]
) -> None:
    """Raises InvalidPackage, naming the tensor, where the graph can't serve ``task`` with these labels."""
    if task is Task.TOKEN_CLASSIFICATION:
        _check_text_inputs(file, signature)
    else:
        _check_image_input(file, signature)
    _check_logits(file, logits, *_ANSWERS[task], labels)
    for spec in signature.inputs:
        if spec.shape[0] not in (-1, 1):
            fault = f"has its batch axis fixed at {spec.shape[0]}; export it with a dynamic batch axis"
            raise InvalidPackage(f"{file}: input {spec.name!r} {fault}")


def _check_text_inputs(file: str, signature: Signature) -> None:
    names = [spec.name for spec in signature.inputs]
    if "input_ids" not in names or not set(names) <= set(TEXT_INPUTS):
        raise InvalidPackage(
            f"{file}: takes {_quoted(names)}; a token-classification model takes 'input_ids' and at most "
            f"'attention_mask' and 'token_type_ids' beside it"
        )
    for spec in signature.inputs:
        _want(file, "input", spec, 2, "[batch, tokens]", _IDS)
    if len({spec.shape[1] for spec in signature.inputs}) > 1:
        raise InvalidPackage(f"{file}: {_quoted(names)} differ in axis 1; they hold the same tokens")


def _check_image_input(file: str, signature: Signature) -> None:
    if len(signature.inputs) != 1:
        names = _quoted([spec.name for spec in signature.inputs])
        raise InvalidPackage(f"{file}: takes {names}; an image-classification model takes one input")
    pixels = signature.inputs[0]
    _want(file, "input", pixels, 4, "[batch, channels, height, width]", _REALS)
    if pixels.shape[1] not in (-1, 1, 3):
        raise InvalidPackage(
            f"{file}: input {pixels.name!r} has {pixels.shape[1]} channels in axis 1; 3 (RGB) or 1 (grey) "
            f"can be filled: [batch, channels, height, width]"
        )


def _check_logits(file: str, logits: TensorSpec, rank: int, axes: str, labels: Sequence[str]) -> None:
    _want(file, "output", logits, rank, axes, _NUMBERS)
    if logits.shape[-1] not in (-1, len(labels)):
        raise InvalidPackage(
            f"config.json: id2label: has {len(labels)} labels, but output {logits.name!r} of {file} has "
            f"{logits.shape[-1]}; give one label per class"
        )


def _want(
    file: str, role: str, spec: TensorSpec, rank: int, axes: str, datatypes: Sequence[DataType]
) -> None:
    if len(spec.shape) != rank:
        raise InvalidPackage(f"{file}: {role} {spec.name!r} has shape {list(spec.shape)}; {axes} is wanted")
    if spec.datatype not in datatypes:
        raise InvalidPackage(
            f"{file}: {role} {spec.name!r} is {spec.datatype}; {' or '.join(datatypes)} is wanted"
        )


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names)
