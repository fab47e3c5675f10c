"""Writes a torch module as one ONNX file, weights inside, batch (and sequence) left free."""

from collections.abc import Mapping
from pathlib import Path

import onnx
import onnxruntime as ort
import torch
from torch import Tensor, nn

OPSET = 18
TOLERANCE = 1e-3  # between torch and onnxruntime, on the sample inputs


def export(
    module: nn.Module,
    inputs: Mapping[str, Tensor],
    free_axes: tuple[str, ...],
    path: Path,
) -> None:
    """Export `module(**inputs) -> logits`; the leading axes of every input are named and free.

    Inputs must be tensors of their own: the exporter makes one input of one tensor given twice.
    Raises ValueError when onnxruntime does not give what torch gives for these inputs.
    """
    axes = {i: torch.export.Dim(name) for i, name in enumerate(free_axes)}
    torch.onnx.export(
        module.eval(),
        kwargs=dict(inputs),
        f=path,
        input_names=list(inputs),
        output_names=["logits"],
        dynamic_shapes=dict.fromkeys(inputs, axes),
        opset_version=OPSET,
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    _strip(path)
    _compare(module, inputs, path)


def _compare(module: nn.Module, inputs: Mapping[str, Tensor], path: Path) -> None:
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    answer = session.run(["logits"], {name: value.numpy() for name, value in inputs.items()})[0]
    with torch.no_grad():
        error = (torch.from_numpy(answer) - module(**inputs)).abs().max().item()
    if error > TOLERANCE:
        raise ValueError(f"{path} is off by {error} from the module it was exported from")


def _strip(path: Path) -> None:
    """Drop the exporter's notes (stack traces with file paths), which no runtime reads."""
    model = onnx.load(path)
    _strip_graph(model.graph)
    for function in model.functions:
        for node in function.node:
            _strip_node(node)
    del model.metadata_props[:]
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def _strip_graph(graph: onnx.GraphProto) -> None:
    del graph.metadata_props[:]
    for value in (*graph.value_info, *graph.input, *graph.output):
        del value.metadata_props[:]
    for tensor in graph.initializer:
        del tensor.metadata_props[:]
    for node in graph.node:
        _strip_node(node)


def _strip_node(node: onnx.NodeProto) -> None:
    del node.metadata_props[:]
    node.doc_string = ""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            _strip_graph(attribute.g)
