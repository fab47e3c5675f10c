"""Layout: a Hugging Face folder with ONNX inside.

``config.json``, ``model.onnx`` (at the top or in ``onnx/``), ``tokenizer.json`` for text, and for images
``preprocessor_config.json`` or ``processor_config.json``, as ``save_pretrained`` and ``optimum`` write them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from modelserve.domain.inference import Signature, TensorSpec
from modelserve.domain.models import ModelPackage, PackageLimits, Runtime, Scores, Task
from modelserve.errors import InvalidPackage
from modelserve.packages.content import digest
from modelserve.packages.declaration import FILE_NAME, Declaration, read_declaration, reference_of
from modelserve.packages.fitness import check_fitness, logits_of
from modelserve.packages.graph import read_signature
from modelserve.packages.labelling import CONFIG, labels_of, scores_of, told_labels
from modelserve.packages.reading import inside, read_object
from modelserve.packages.texts import check_text, most_tokens

MODEL_FILES = ("model.onnx", "onnx/model.onnx")
COMPANIONS = {
    Task.TOKEN_CLASSIFICATION: "tokenizer.json",
    Task.IMAGE_CLASSIFICATION: "preprocessor_config.json",
}
NESTED = "processor_config.json", "image_processor"
"""A file that may describe the making of images under this key, in the place of the one above."""
_ARCHITECTURES = {
    "ForTokenClassification": Task.TOKEN_CLASSIFICATION,
    "ForImageClassification": Task.IMAGE_CLASSIFICATION,
}
"""What the name of a class ends in."""
_IMAGE_CLASSIFIERS = (
    "DeiTForImageClassificationWithTeacher",
    "LevitForImageClassificationWithTeacher",
    "PerceiverForImageClassificationConvProcessing",
    "PerceiverForImageClassificationFourier",
    "PerceiverForImageClassificationLearned",
)
"""Those of transformers' mapping whose names end otherwise."""
_LEAVES = "is a link that leaves the folder; copy it with `cp -rL` first"

Config = Mapping[str, Any]


class HuggingFace:
    """A folder with config.json."""

    name = "huggingface"
    runtimes = frozenset({Runtime.ONNX})

    def matches(self, path: Path) -> bool:
        return path.is_dir() and (path / CONFIG).is_file()

    def read(self, path: Path, task: Task | None = None, runtime: Runtime | None = None) -> ModelPackage:
        """The package. The task is ``task``, else the declared, else what ``architectures`` implies."""
        config = read_object(path / CONFIG)
        declaration = read_declaration(path)
        resolved = _task(config, declaration, task)
        model_file = _model_file(path)
        companion = _companion(path, resolved)
        reference = reference_of(path, declaration)
        graph = read_signature(model_file, declaration)
        logits, labels = _answer(model_file.name, config, resolved, graph)
        if resolved is Task.TOKEN_CLASSIFICATION:
            check_text(config, companion, graph)
        return ModelPackage(
            path=path,
            digest=digest(path),
            layout=self.name,
            task=resolved,
            model_file=model_file,
            signature=_padded(graph, config),
            labels=labels,
            logits=logits,
            scores=scores_of(config, len(labels))
            if resolved is Task.IMAGE_CLASSIFICATION
            else Scores.SOFTMAX,
            limits=_limits(path, config, declaration, graph, resolved),
            reference=reference,
            description=declaration.description,
            deterministic=declaration.deterministic is not False,
            batching=declaration.batching,
            warm_up=declaration.warm_up is None,
            runtime=Runtime.ONNX,
        )


def _task(config: Config, declaration: Declaration, asked: Task | None) -> Task:
    architectures = config.get("architectures") or []
    implied = next(filter(None, (_implied(str(name)) for name in architectures)), None)
    task = asked or declaration.task or implied
    if task is None:
        raise InvalidPackage(
            f"{CONFIG}: architectures: {architectures!r} implies no task that is served "
            f"(…{', …'.join(_ARCHITECTURES)}); write a task into {FILE_NAME}: "
            f"`task: {Task.TENSOR.value}` for plain tensors, or, if the model does that, "
            f"{' or '.join(f'`task: {task.value}`' for task in _ARCHITECTURES.values())}"
        )
    if implied and task not in (implied, Task.TENSOR):
        source = "the spec" if asked else FILE_NAME
        raise InvalidPackage(
            f"{CONFIG}: architectures: {architectures!r} means {implied.value}, but {source} asks for task "
            f"{task.value}; remove that, or use {Task.TENSOR.value}"
        )
    return task


def _implied(architecture: str) -> Task | None:
    """The task of a model of this class; None where it is none that is served."""
    if architecture in _IMAGE_CLASSIFIERS:
        return Task.IMAGE_CLASSIFICATION
    return next((task for end, task in _ARCHITECTURES.items() if architecture.endswith(end)), None)


def _answer(file: str, config: Config, task: Task, graph: Signature) -> tuple[str, tuple[str, ...]]:
    """The output that the task reads, and the labels of its classes; nothing for tensors themselves."""
    if task is Task.TENSOR:
        return "", ()
    logits = logits_of(file, task, graph, told_labels(config))
    labels = labels_of(config, logits)
    check_fitness(file, task, graph, logits, labels)
    return logits.name, labels


def _model_file(folder: Path) -> Path:
    for name in MODEL_FILES:
        if (found := inside(folder, name)) is not None:
            return found
        if (folder / name).is_symlink():
            raise InvalidPackage(f"{name}: {_LEAVES}")
    others = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.onnx"))
    found_here = f"found {', '.join(others[:3])}; rename the one to serve" if others else ""
    advice = found_here or "export it with `optimum-cli export onnx --model MODEL FOLDER`"
    raise InvalidPackage(f"{folder.name}: no {' or '.join(MODEL_FILES)}; {advice}")


def _companion(folder: Path, task: Task) -> Config:
    """The file that says how the task makes tensors; empty for tensors themselves."""
    name = COMPANIONS.get(task)
    if name is None:
        return {}
    if task is Task.IMAGE_CLASSIFICATION and (nested := _nested(folder)):
        return nested
    path = inside(folder, name)
    if path is None:
        raise InvalidPackage(f"{folder.name}: no {name}, which {task.value} needs; export it with the model")
    return read_object(path)


def _nested(folder: Path) -> Config:
    """What stands for a companion in a file of another name; empty where nothing does."""
    name, key = NESTED
    path = inside(folder, name)
    if path is None:
        if (folder / name).is_symlink():
            raise InvalidPackage(f"{name}: {_LEAVES}")
        return {}
    found = read_object(path)
    return found if found.get(key) is not None else {}


def _padded(signature: Signature, config: Config) -> Signature:
    """Allow padding along axis 1 where the graph leaves it free and a mask keeps the padding unseen."""
    if not any(spec.name == "attention_mask" for spec in signature.inputs):
        return signature
    pads = {"input_ids": _pad_token(config), "attention_mask": 0, "token_type_ids": 0}

    def with_pad(spec: TensorSpec) -> TensorSpec:
        free = len(spec.shape) > 1 and spec.shape[1] == -1
        return replace(spec, pad=pads.get(spec.name)) if free else spec

    return replace(signature, inputs=tuple(with_pad(spec) for spec in signature.inputs))


def _pad_token(config: Config) -> int:
    """Any token that has an embedding will do where none is named: the mask keeps it unseen."""
    token, size = config.get("pad_token_id"), config.get("vocab_size")
    if type(token) is not int or token < 0 or (type(size) is int and token >= size):
        return 0
    return token


def _limits(
    folder: Path, config: Config, declaration: Declaration, graph: Signature, task: Task
) -> PackageLimits:
    """Declared limits, else the defaults; the length never above what the model takes."""
    default, declared = PackageLimits(), declaration.limits
    pixels = declared.max_pixels or default.max_pixels
    bound = most_tokens(folder, config, graph) if task is Task.TOKEN_CLASSIFICATION else None
    if bound is None:
        return PackageLimits(declared.max_length or default.max_length, pixels)
    if declared.max_length is not None and declared.max_length > bound.tokens:
        raise InvalidPackage(
            f"{FILE_NAME}: limits.maxLength: {declared.max_length} is above the {bound.tokens} tokens "
            f"that the model takes ({bound.source})"
        )
    return PackageLimits(declared.max_length or min(default.max_length, bound.tokens), pixels)
