"""The signature of an ONNX graph, read with the engine that will run it: reading also checks the file.

The engine tells a scalar and a tensor of unknown rank alike, as a shape without axes; such a tensor needs its
shape declared.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from modelserve._kit.onnx_errors import first_line
from modelserve.domain.inference import DataType, Signature, TensorSpec
from modelserve.errors import InvalidPackage, Unavailable
from modelserve.packages.declaration import FILE_NAME, Declaration, DeclaredTensor
from modelserve.packages.reading import mistaken

_DATATYPES = {
    "tensor(bool)": DataType.BOOL,
    "tensor(uint8)": DataType.UINT8,
    "tensor(uint16)": DataType.UINT16,
    "tensor(uint32)": DataType.UINT32,
    "tensor(uint64)": DataType.UINT64,
    "tensor(int8)": DataType.INT8,
    "tensor(int16)": DataType.INT16,
    "tensor(int32)": DataType.INT32,
    "tensor(int64)": DataType.INT64,
    "tensor(float16)": DataType.FP16,
    "tensor(float)": DataType.FP32,
    "tensor(double)": DataType.FP64,
    "tensor(string)": DataType.BYTES,
}

_REFUSALS = (  # a piece of the engine's message, what it means and what to do
    ("No graph was found", "is not an ONNX model; export or download it again"),
    ("Protobuf parsing failed", "is not an ONNX file, or is truncated; export or download it again"),
    ("Opset", "needs an operator set that this ONNX Runtime does not know; export it with an older opset"),
    ("IR version", "needs an ONNX version that this ONNX Runtime does not know; export it with an older one"),
    ("Could not find an implementation", "uses an operator version that this ONNX Runtime does not run"),
    ("No Op registered", "uses an operator that this ONNX Runtime does not have"),
    ("escapes", "keeps weights outside of its folder; export it with all weights beside or inside the file"),
    ("External data path", "lacks the file with its weights; put it beside the model, under the same name"),
    ("External initializer", "has a file of weights that is truncated; export or download it again"),
)


def read_signature(model_file: Path, declared: Declaration, alone: bool = False) -> Signature:
    """The tensors of the graph, each checked against the declared one if there is one.

    ``alone`` says that the file is the whole package: weights in a second file are refused then. Raises
    InvalidPackage for a file that the engine refuses, for datatypes that can't be served, for tensors without
    a batch axis and for a declaration that does not fit.
    """
    _check_head(model_file)
    session = _session_alone(model_file) if alone else _session(model_file)
    name = model_file.name
    inputs = [_Found(name, "input", i.name, i.type, i.shape) for i in session.get_inputs()]
    outputs = [_Found(name, "output", o.name, o.type, o.shape) for o in session.get_outputs()]
    if not inputs or not outputs:
        raise InvalidPackage(f"{name}: the graph needs at least one input and one output")
    wanted = declared.signature
    if wanted.inputs and {tensor.name for tensor in wanted.inputs} != {found.name for found in inputs}:
        raise InvalidPackage(_misnamed("inputs", wanted.inputs, inputs))
    return Signature(_merge("inputs", wanted.inputs, inputs), _merge("outputs", wanted.outputs, outputs))


class _Found:
    """One input or output as the engine reports it."""

    def __init__(self, file: str, role: str, name: str, kind: str, shape: Sequence[Any]) -> None:
        self.file, self.role, self.name, self.kind = file, role, name, kind
        self.shape = tuple(axis if isinstance(axis, int) and axis >= 0 else -1 for axis in shape)
        self.first_axis = shape[0] if shape and isinstance(shape[0], str) else None

    @property
    def datatype(self) -> DataType:
        if self.kind not in _DATATYPES:
            raise InvalidPackage(
                f"{self.file}: {self.role} {self.name!r} is a {self.kind}; plain tensors of "
                f"{', '.join(DataType)} can be served (for scikit-learn models export with zipmap=False)"
            )
        return _DATATYPES[self.kind]

    def spec(self) -> TensorSpec:
        datatype = self.datatype
        if not self.shape:
            raise InvalidPackage(
                f"{self.file}: {self.role} {self.name!r} has no axes in the graph, so no batch axis; "
                f"declare its shape in {FILE_NAME} under signature.{self.role}s if it has one"
            )
        return TensorSpec(self.name, datatype, self.shape, first_axis=self.first_axis)

    def narrowed(self, tensor: DeclaredTensor, key: str) -> TensorSpec:
        if tensor.datatype is not self.datatype:
            raise InvalidPackage(
                f"{FILE_NAME}: {key}.datatype: {tensor.datatype.value} declared for {self.name!r}, "
                f"but the graph has {self.datatype.value}"
            )
        fits = len(tensor.shape) == len(self.shape) and all(
            graph in (-1, axis) for axis, graph in zip(tensor.shape, self.shape, strict=True)
        )
        if self.shape and not fits:
            raise InvalidPackage(
                f"{FILE_NAME}: {key}.shape: {list(tensor.shape)} declared for {self.name!r}, "
                f"but the graph has {list(self.shape)}"
            )
        return replace(tensor.spec(), first_axis=self.first_axis)


def _merge(
    side: str, declared: tuple[DeclaredTensor, ...], found: Sequence[_Found]
) -> tuple[TensorSpec, ...]:
    if not declared:
        return tuple(tensor.spec() for tensor in found)
    by_name = {tensor.name: tensor for tensor in found}
    names = [tensor.name for tensor in declared]
    if len(set(names)) != len(names) or not by_name.keys() >= set(names):
        raise InvalidPackage(_misnamed(side, declared, found))
    return tuple(
        by_name[tensor.name].narrowed(tensor, f"signature.{side}[{i}]") for i, tensor in enumerate(declared)
    )


def _misnamed(side: str, declared: Sequence[DeclaredTensor], found: Sequence[_Found]) -> str:
    return (
        f"{FILE_NAME}: signature.{side}: declares {', '.join(repr(t.name) for t in declared)}, "
        f"but the graph has {', '.join(repr(t.name) for t in found)}"
    )


def _check_head(path: Path) -> None:
    with path.open("rb") as file:
        head = file.read(256)
    if not head:
        raise InvalidPackage(f"{path.name}: is empty; export or download it again")
    if what := mistaken(head):
        raise InvalidPackage(f"{path.name}: {what}")


def _session_alone(path: Path) -> Any:
    """Load through a link in an empty folder, where weights in a second file can't be reached."""
    with tempfile.TemporaryDirectory(prefix="modelserve-") as folder:
        link = Path(folder) / "model.onnx"
        link.symlink_to(path.resolve())
        try:
            return _session(link, path.name)
        except InvalidPackage:
            _session(path)  # fails for the same reason unless the second file is what was missing
            raise InvalidPackage(
                f"{path.name}: keeps weights in a second file; give the folder with both instead"
            ) from None


def _session(path: Path, name: str = "") -> Any:
    try:
        from modelserve._kit.onnxruntime import onnxruntime
    except ModuleNotFoundError as error:
        raise Unavailable("reading ONNX models needs: pip install 'modelserve[onnx]'") from error
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 4
    options.add_session_config_entry("session.disable_prepacking", "1")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the engine's errors share no base class below Exception
        raise InvalidPackage(f"{name or path.name}: {_meaning(error, path)}") from error


def _meaning(error: Exception, path: Path) -> str:
    said = first_line(error, path.parent)
    known = next((meaning for piece, meaning in _REFUSALS if piece in said), None)
    return f"{known} (the engine said: {said})" if known else f"ONNX Runtime refuses it: {said}"
