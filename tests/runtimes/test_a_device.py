"""A device is chosen from what the engine offers, and never silently another than the one asked for."""

from __future__ import annotations

import onnxruntime
import pytest

from modelserve.domain.models import Device
from modelserve.errors import InvalidSpec, Unavailable
from modelserve.runtimes import runtime_for
from modelserve.runtimes.providers import CPU, CUDA, TENSORRT, choose_providers, require_device

ALL = (TENSORRT, CUDA, CPU)


@pytest.mark.parametrize(
    ("device", "offered", "chosen"),
    [
        (Device.AUTO, (CPU,), [CPU]),
        (Device.AUTO, ("AzureExecutionProvider", CPU), [CPU]),
        (Device.AUTO, ALL, [CUDA, CPU]),  # TensorRT only where it is asked for: it compiles for minutes
        (Device.CPU, ALL, [CPU]),
        (Device.CUDA, ALL, [CUDA, CPU]),
        (Device.TENSORRT, ALL, [TENSORRT, CUDA, CPU]),
    ],
)
def test_is_the_best_that_fits_what_was_asked(
    device: Device, offered: tuple[str, ...], chosen: list[str]
) -> None:
    assert choose_providers(device, offered) == chosen


@pytest.mark.parametrize(
    ("device", "offered"), [(Device.CUDA, (CPU,)), (Device.TENSORRT, (CUDA, CPU))], ids=str
)
def test_that_the_engine_lacks_is_refused(device: Device, offered: tuple[str, ...]) -> None:
    with pytest.raises(Unavailable, match=rf'server.device: got "{device}".*onnxruntime-gpu'):
        choose_providers(device, offered)


def test_that_the_engine_could_not_start_is_refused() -> None:
    require_device(Device.CUDA, [CUDA, CPU])
    require_device(Device.AUTO, [CPU])
    with pytest.raises(Unavailable, match="could not start"):
        require_device(Device.CUDA, [CPU])


@pytest.mark.skipif(
    CUDA in onnxruntime.get_available_providers(), reason="this onnxruntime knows CUDA: nothing to refuse"
)
def test_cuda_without_it_is_refused_by_the_runtime() -> None:
    with pytest.raises(Unavailable, match=r"server\.device"):
        runtime_for("onnx", Device.CUDA)


def test_an_engine_for_processors_alone_can_be_told_nothing_else() -> None:
    runtime_for("lightgbm", Device.CPU)
    with pytest.raises(InvalidSpec, match='runtime "lightgbm"'):
        runtime_for("lightgbm", Device.CUDA)
