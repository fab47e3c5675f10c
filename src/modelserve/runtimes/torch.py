"""Adapter: PyTorch, on the GPU where there is one, else on one core for each run.

Runs programs, never Python from a file: TorchScript in its own interpreter, exported programs from a copy
that holds tensors and operators alone (see :mod:`modelserve._kit.torch_archives`).
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import IO, Any

import torch
from torch.utils import _pytree as pytree

from modelserve._kit.caches import caches_in
from modelserve._kit.onnx_errors import first_line
from modelserve._kit.torch_archives import Kind, clean_copy, kind_of
from modelserve._kit.torch_guards import Guard
from modelserve._kit.torch_programs import UnfitArchive
from modelserve._kit.torch_writes import Writes, writes_of_program, writes_of_script
from modelserve.domain.inference import Array, Signature, Tensors
from modelserve.domain.models import ModelPackage
from modelserve.errors import InvalidInput, InvalidPackage, ModelFailed
from modelserve.runtimes.plain import OncePerThread, PlainModel

Call = Callable[[Mapping[str, Any]], Any]
"""From the inputs by name, on the device, to whatever the program returns."""
TURNS = "its program writes to attributes or buffers that outlast a run"


class TorchRuntime:
    """Loads programs onto ``device``: the first GPU where there is one, else the CPU."""

    def __init__(self, device: str | None = None) -> None:
        self._device = device or ("cuda" if torch.cuda.is_available() else "cpu")

    def load(self, package: ModelPackage) -> PlainModel:
        """The model, in memory. Raises InvalidPackage if the engine refuses the file."""
        file = package.model_file
        torch.set_num_threads(1)
        try:
            script = kind_of(file) is Kind.TORCHSCRIPT
            call, writes = (_script if script else _program)(package, self._device)
        except UnfitArchive as error:
            raise InvalidPackage(f"{file.name}: {error}") from error
        except InvalidPackage:
            raise
        except Exception as error:  # what the file holds decides what fails
            said = first_line(error, file.parent)
            raise InvalidPackage(f"{file.name}: PyTorch {torch.__version__} refuses it: {said}") from error
        run = _run(call, package.signature, self._device, writes.inputs)
        turns = TURNS if writes.kept else ""
        return PlainModel(package.signature, run, steady=False, turns=turns)  # new shapes may be compiled


def _script(package: ModelPackage, device: str) -> tuple[Call, Writes]:
    """TorchScript: inputs go by name where the names are those of ``forward``, else by order."""
    module = torch.jit.load(package.model_file, map_location=device).eval()
    names = [spec.name for spec in package.signature.inputs]
    known = [argument.name for argument in module.forward.schema.arguments[1:]]
    writes = writes_of_script(module)
    if set(names) <= set(known):
        return lambda inputs: module(**inputs), writes
    if set(names) & set(known):
        raise InvalidPackage(
            f"modelserve.yaml: signature.inputs: declares {', '.join(map(repr, names))}, but forward() takes "
            f"{', '.join(map(repr, known))}; use these names for all inputs, or other names in this order"
        )
    return lambda inputs: module(*inputs.values()), writes


def _loaded(copy: IO[bytes]) -> Any:
    """The first load imports a compiler, which no such program needs, and which makes its folder at once."""
    with tempfile.TemporaryDirectory(prefix="modelserve-") as at, caches_in(at, "TORCHINDUCTOR_CACHE_DIR"):
        return torch.export.load(copy)


def _program(package: ModelPackage, device: str) -> tuple[Call, Writes]:
    """An exported program, from its clean copy: inputs go by order into the places of the export."""
    with tempfile.TemporaryFile(prefix="modelserve-") as copy, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        told = clean_copy(package.model_file, copy)
        copy.seek(0)
        program = _loaded(copy)
    if device != "cpu":
        from torch.export.passes import move_to_device_pass

        program = move_to_device_pass(program, device)
    module, places = program.module(), program.call_spec.in_spec
    misfit = _misfits((*told.bounds, *told.guards), [spec.name for spec in package.signature.inputs])

    def call(inputs: Mapping[str, Any]) -> Any:
        if reason := misfit(tuple(tuple(tensor.shape) for tensor in inputs.values())):
            raise InvalidInput(reason)
        given = iter(inputs.values())
        leaves = [told.fixed[at] if at in told.fixed else next(given) for at in range(places.num_leaves)]
        args, kwargs = pytree.tree_unflatten(leaves, places)
        return module(*args, **kwargs)

    return call, writes_of_program(program)


def _misfits(guards: Sequence[Guard], names: Sequence[str]) -> Callable[[tuple[tuple[int, ...], ...]], str]:
    """What tells of shapes why the program was not made for them; nothing if it was."""

    @lru_cache(maxsize=1024)  # clients send few different ones
    def misfit(shapes: tuple[tuple[int, ...], ...]) -> str:
        failed = next((guard for guard in guards if not guard.holds(shapes)), None)
        if failed is None:
            return ""
        looks_at = sorted({number for number, _ in failed.axes}) or range(len(names))
        given = " and ".join(f"{names[at]!r} has shape {list(shapes[at])}" for at in looks_at)
        return f"input {given}; the program was exported for {failed.told(names)}"

    return misfit if guards else lambda shapes: ""


def _run(
    call: Call, signature: Signature, device: str, writes_to_inputs: bool
) -> Callable[[Tensors, Sequence[str]], list[Array | None]]:
    inputs = [spec.name for spec in signature.inputs]
    outputs = [spec.name for spec in signature.outputs]
    one_thread = OncePerThread(lambda: torch.set_num_threads(1))

    def run(tensors: Tensors, wanted: Sequence[str]) -> list[Array | None]:
        one_thread()
        with torch.inference_mode():
            answer = call({name: _tensor(tensors[name], device, writes_to_inputs) for name in inputs})
            return [_array(each) for each in _in_order(answer, outputs)]

    return run


def _tensor(array: Array, device: str, own: bool) -> Any:
    """``own``: in memory of its own, since the program writes to it."""
    return torch.from_numpy(array.copy() if own or not array.flags.writeable else array).to(device)


def _in_order(answer: Any, names: Sequence[str]) -> list[Any]:
    """The tensors of an answer: a dictionary's by the names of the outputs, else as they stand, without what
    is None."""
    if isinstance(answer, Mapping) and set(names) <= set(answer):
        return [answer[name] for name in names]
    found: list[Any] = [each for each in pytree.tree_leaves(answer) if each is not None]
    if not all(isinstance(each, torch.Tensor) for each in found):
        strange = next(type(each).__name__ for each in found if not isinstance(each, torch.Tensor))
        raise ModelFailed(f"the model answered with a {strange}; tensors are wanted")
    return found


def _array(tensor: Any) -> Array | None:
    """NumPy knows no tensors that are to be negated or conjugated when they are read."""
    if tensor is None:
        return None
    tensor = tensor.detach().resolve_conj().resolve_neg().cpu()
    array: Array = (tensor.float() if tensor.dtype is torch.bfloat16 else tensor).numpy()
    return array
