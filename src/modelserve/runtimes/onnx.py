"""Adapter: ONNX Runtime, on the processor or a GPU.

One session per model, shared by all threads that run batches: the weights lie in memory once, and each run
stays on the core of the thread that asked for it unless it is given more. With most models several such runs
at once beat one run on several cores.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from modelserve._kit.onnx_errors import first_line
from modelserve._kit.onnxruntime import onnxruntime
from modelserve.domain.inference import Array, DataType, Signature, Tensors
from modelserve.domain.models import Device, ModelPackage
from modelserve.errors import InvalidInput, InvalidPackage, ModelFailed
from modelserve.runtimes.graphs import LEAST, WEIGHTS, Graphs
from modelserve.runtimes.providers import CPU, choose_providers, require_device

_SILENT = 4
"""Log severity at which the engine prints nothing: what it has to say is raised."""


class OnnxRuntime:
    """Loads models; ``threads_per_run`` is how many cores one run of a model may use."""

    def __init__(
        self, threads_per_run: int = 1, device: Device = Device.AUTO, graphs: Path | None = None
    ) -> None:
        """``graphs``: folder of optimised graphs. Raises Unavailable if this build lacks the device."""
        self._threads, self._device, self._graphs_at = threads_per_run, device, graphs
        self._providers = choose_providers(device, onnxruntime.get_available_providers())
        self._graphs = Graphs(graphs)
        self.engine = f"onnxruntime {onnxruntime.__version__} {self._providers[0]}"

    def on_cores(self, cores: int) -> OnnxRuntime:
        """The same engine; each run may use so many cores."""
        return OnnxRuntime(cores, self._device, self._graphs_at)

    def load(self, package: ModelPackage) -> OnnxModel:
        """The model, in memory.

        Raises InvalidPackage if the engine refuses the file, Unavailable if the device can't be used.
        """
        session = self._session(package)
        require_device(self._device, session.get_providers())
        return OnnxModel(session, package.signature)

    def _session(self, package: ModelPackage) -> Any:
        """From the kept graph where there is one, else from the package, and then the graph is kept."""
        known = package.digest, self.engine
        if kept := self._graphs.find(*known):
            options = _options(self._threads, package.signature)
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
            with contextlib.suppress(Exception):  # the engine's errors share no base class below Exception
                return self._open(kept, options)
            self._graphs.drop(*known)
        graphs = self._graphs if package.model_file.stat().st_size >= LEAST else Graphs(None)
        try:
            with graphs.making(*known) as kept:
                return self._open(package.model_file, _options(self._threads, package.signature, kept))
        except Exception as error:  # as above
            said = first_line(error, package.model_file.parent)
            raise InvalidPackage(f"{package.model_file.name}: ONNX Runtime refuses it: {said}") from error

    def _open(self, file: Path, options: Any) -> Any:
        return onnxruntime.InferenceSession(str(file), options, providers=self._providers)


class OnnxModel:
    """One session. Expects tensors that fit the signature: names, datatypes and shapes are not looked at."""

    steady = True

    def __init__(self, session: Any, signature: Signature) -> None:
        self.signature = signature
        self._session = session
        self.accelerated = session.get_providers()[0] != CPU
        self._outputs = [spec.name for spec in signature.outputs]
        self._texts_in = [spec.name for spec in signature.inputs if spec.datatype is DataType.BYTES]
        self._texts_out = {spec.name for spec in signature.outputs if spec.datatype is DataType.BYTES}

    def predict(self, tensors: Tensors, outputs: Sequence[str] = ()) -> Tensors:
        """Run one batch. Raises ModelFailed, and InvalidInput for BYTES that are not UTF-8."""
        session = self._session
        if session is None:
            raise ModelFailed("the model has been closed")
        if self._texts_in:
            tensors = tensors | {name: _to_text(name, tensors[name]) for name in self._texts_in}
        names = list(outputs) or self._outputs
        try:
            answers = session.run(names, tensors)
        except Exception as error:  # the engine's errors share no base class below Exception
            raise ModelFailed(f"the model failed: {first_line(error)}") from error
        answered = dict(zip(names, answers, strict=True))
        if self._texts_out:
            answered |= {name: _to_bytes(answered[name]) for name in self._texts_out & answered.keys()}
        return answered

    def close(self) -> None:
        """Let go of the weights once the runs in progress are done; later calls raise ModelFailed."""
        self._session = None


def _options(threads: int, signature: Signature, write_to: Path | None = None) -> Any:
    """``write_to``: where the optimised graph is to be written, None for nowhere."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    # A memory plan is kept for every shape ever seen: few where only the rows vary, else without bound.
    options.enable_mem_pattern = all(axis >= 0 for spec in signature.inputs for axis in spec.shape[1:])
    options.log_severity_level = _SILENT
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    if write_to is not None:
        options.optimized_model_filepath = str(write_to)
        options.add_session_config_entry("session.optimized_model_external_initializers_file_name", WEIGHTS)
    return options


def _to_text(name: str, values: Array) -> Array:
    """BYTES to the strings that the engine's binding takes, which are UTF-8 inside."""
    try:
        texts = [value.decode() if isinstance(value, bytes) else value for value in values.flat]
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"input {name!r}: {error.object[:16]!r} is not UTF-8; this model takes text"
        ) from error
    return _array(texts, values)


def _to_bytes(values: Array) -> Array:
    return _array([value.encode() for value in values.flat], values)


def _array(elements: list[Any], like: Array) -> Array:
    array = np.empty(len(elements), np.object_)
    array[:] = elements
    return array.reshape(like.shape)
