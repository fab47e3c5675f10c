"""Layout: a Hugging Face folder with ONNX inside.

``config.json``, ``model.onnx`` (at the top or in ``onnx/``), and ``tokenizer.json`` for text or
``preprocessor_config.json`` for images, as ``save_pretrained`` and ``optimum`` write them.
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
from modelserve.packages.fitness import check_fitness
from modelserve.packages.graph import read_signature
from modelserve.packages.labelling import CONFIG, labels_of, scores_of
from modelserve.packages.reading import inside, read_object

MODEL_FILES = ("model.onnx", "onnx/model.onnx")
COMPANIONS = {
    Task.TOKEN_CLASSIFICATION: "tokenizer.json",
    Task.IMAGE_CLASSIFICATION: "preprocessor_config.json",
}
_ARCHITECTURES = {
    "ForTokenClassification": Task.TOKEN_CLASSIFICATION,
    "ForImageClassification": Task.IMAGE_CLASSIFICATION,
}

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
        _check_companion(path, resolved)
        reference = reference_of(path, declaration)
        graph = read_signature(model_file, declaration)
        labels = () if resolved is Task.TENSOR else labels_of(config, graph.outputs[0])
        check_fitness(model_file.name, resolved, graph, labels)
        return ModelPackage(
            path=path,
            digest=digest(path),
            layout=self.name,
            task=resolved,
            model_file=model_file,
            signature=_padded(graph, config),
            labels=labels,
            scores=scores_of(config, len(labels))
            if resolved is Task.IMAGE_CLASSIFICATION
            else Scores.SOFTMAX,
            limits=_limits(config, declaration, graph, resolved),
            reference=reference,
            description=declaration.description,
            deterministic=declaration.deterministic is not False,
            batching=declaration.batching,
            warm_up=declaration.warm_up is None,
            runtime=Runtime.ONNX,
        )


def _task(config: Config, declaration: Declaration, asked: Task | None) -> Task:
    architectures = config.get("architectures") or []
    implied = next(
        (task for end, task in _ARCHITECTURES.items() for name in architectures if str(name).endswith(end)),
        None,
    )
    task = asked or declaration.task or implied
    if task is None:
        raise InvalidPackage(
            f"{CONFIG}: architectures: {architectures!r} implies no task that is served "
            f"(…{', …'.join(_ARCHITECTURES)}); write a task into {FILE_NAME}, "
            f"such as `task: {Task.TENSOR.value}` for plain tensors"
        )
    if implied and task not in (implied, Task.TENSOR):
        source = "the spec" if asked else FILE_NAME
        raise InvalidPackage(
            f"{CONFIG}: architectures: {architectures!r} means {implied.value}, but {source} asks for task "
            f"{task.value}; remove that, or use {Task.TENSOR.value}"
        )
    return task


def _model_file(folder: Path) -> Path:
    for name in MODEL_FILES:
        if (found := inside(folder, name)) is not None:
            return found
        if (folder / name).is_symlink():
            raise InvalidPackage(f"{name}: is a link that leaves the folder; copy it with `cp -rL` first")
    others = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.onnx"))
    found_here = f"found {', '.join(others[:3])}; rename the one to serve" if others else ""
    advice = found_here or "export it with `optimum-cli export onnx --model MODEL FOLDER`"
    raise InvalidPackage(f"{folder.name}: no {' or '.join(MODEL_FILES)}; {advice}")


def _check_companion(folder: Path, task: Task) -> None:
    name = COMPANIONS.get(task)
    if name is None:
        return
    path = inside(folder, name)
    if path is None:
        raise InvalidPackage(f"{folder.name}: no {name}, which {task.value} needs; export it with the model")
    read_object(path)


def _padded(signature: Signature, config: Config) -> Signature:
    """Allow padding along axis 1 where the graph leaves it free and a mask keeps the padding unseen."""
    if not any(spec.name == "attention_mask" for spec in signature.inputs):
        return signature
    token = config.get("pad_token_id")
    pads = {"input_ids": token if type(token) is int else 0, "attention_mask": 0, "token_type_ids": 0}

    def with_pad(spec: TensorSpec) -> TensorSpec:
        free = len(spec.shape) > 1 and spec.shape[1] == -1
        return replace(spec, pad=pads.get(spec.name)) if free else spec

    return replace(signature, inputs=tuple(with_pad(spec) for spec in signature.inputs))


def _limits(config: Config, declaration: Declaration, graph: Signature, task: Task) -> PackageLimits:
    """Declared limits, else the defaults; the length never above what the model has positions for."""
    default, declared = PackageLimits(), declaration.limits
    pixels = declared.max_pixels or default.max_pixels
    if task is not Task.TOKEN_CLASSIFICATION:
        return PackageLimits(declared.max_length or default.max_length, pixels)
    positions = config.get("max_position_embeddings")
    bounds = [positions] if type(positions) is int and positions > 0 else []
    bounds += [graph.inputs[0].shape[1]] if graph.inputs[0].shape[1] > 0 else []
    most = min(bounds, default=None)
    if most is not None and declared.max_length is not None and declared.max_length > most:
        raise InvalidPackage(
            f"{FILE_NAME}: limits.maxLength: {declared.max_length} is above the {most} tokens "
            f"that the model takes"
        )
    length = declared.max_length or min(default.max_length, most or default.max_length)
    return PackageLimits(length, pixels)
