"""From the name in a spec to the engine; an engine is imported when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from modelserve.domain.models import Device
from modelserve.domain.models import Runtime as Name
from modelserve.errors import InvalidSpec, Unavailable
from modelserve.runtimes.base import Runtime


def runtime_for(name: str, device: Device = Device.AUTO, graphs: Path | None = None) -> Runtime:
    """The runtime called ``name``, on a device; ``graphs`` is where an engine keeps what it optimised.

    Raises InvalidSpec for an unknown one and for a device that it has no use for, Unavailable for one that is
    missing, or lacks the device.
    """
    if name not in _RUNTIMES:
        known = " or ".join(f"'{each}'" for each in _RUNTIMES)
        raise InvalidSpec(f"runtime: {name!r} is not known; use {known}")
    if device not in _DEVICES.get(Name(name), (Device.AUTO, Device.CPU)):
        raise InvalidSpec(
            f'server.device: got "{device}"; runtime "{name}" can not be told to run there: use "auto"'
        )
    try:
        return _RUNTIMES[Name(name)](device, graphs)
    except ModuleNotFoundError as error:
        raise Unavailable(
            f"runtime '{name}' needs {error.name}, which is not installed: pip install 'modelserve[{name}]'"
        ) from error


def _onnx(device: Device, graphs: Path | None) -> Runtime:
    from modelserve.runtimes.onnx import OnnxRuntime

    return OnnxRuntime(device=device, graphs=graphs)


def _python(*_: object) -> Runtime:
    from modelserve.runtimes.python import PythonRuntime

    return PythonRuntime()


def _external(*_: object) -> Runtime:
    from modelserve.runtimes.external import ExternalRuntime

    return ExternalRuntime()


def _torch(device: Device, _: object) -> Runtime:
    from modelserve.runtimes.torch import TorchRuntime

    return TorchRuntime(None if device is Device.AUTO else device)


def _sklearn(*_: object) -> Runtime:
    from modelserve.runtimes.sklearn import SklearnRuntime

    return SklearnRuntime()


def _xgboost(*_: object) -> Runtime:
    from modelserve.runtimes.xgboost import XgboostRuntime

    return XgboostRuntime()


def _lightgbm(*_: object) -> Runtime:
    from modelserve.runtimes.lightgbm import LightgbmRuntime

    return LightgbmRuntime()


_RUNTIMES: dict[Name, Callable[[Device, Path | None], Runtime]] = {
    Name.ONNX: _onnx,
    Name.PYTHON: _python,
    Name.EXTERNAL: _external,
    Name.TORCH: _torch,
    Name.SKLEARN: _sklearn,
    Name.XGBOOST: _xgboost,
    Name.LIGHTGBM: _lightgbm,
}
_DEVICES: dict[Name, tuple[Device, ...]] = {
    Name.ONNX: tuple(Device),
    Name.TORCH: (Device.AUTO, Device.CPU, Device.CUDA),
}
"""Devices that an engine may be told; the others know the processor alone."""
