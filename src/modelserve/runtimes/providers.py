"""Which of ONNX Runtime's execution providers run a model on the device that is asked for."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from modelserve.domain.models import Device
from modelserve.errors import Unavailable

CPU, CUDA, TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"
_WANTED = {
    Device.AUTO: (CUDA, CPU),
    Device.CPU: (CPU,),
    Device.CUDA: (CUDA, CPU),
    Device.TENSORRT: (TENSORRT, CUDA, CPU),
}


def choose_providers(device: Device, offered: Collection[str]) -> list[str]:
    """The providers to ask for, the preferred one first; what it can't run goes to the next.

    ``offered`` is what this build of the engine knows. Raises Unavailable where that lacks the device.
    """
    wanted = _WANTED[device]
    if device is not Device.AUTO and wanted[0] not in offered:
        raise Unavailable(
            f'server.device: got "{device}"; the onnxruntime installed here offers {", ".join(offered)}; '
            f'install onnxruntime-gpu in its place, or use "auto" or "cpu"'
        )
    return [provider for provider in wanted if provider in offered]


def require_device(device: Device, running: Sequence[str]) -> None:
    """Raise Unavailable if the engine fell back from the device that was asked for.

    ``running`` are the providers that a session has in the end: without a device or its libraries they lack
    what was asked for.
    """
    wanted = _WANTED[device][0]
    if device is not Device.AUTO and wanted not in running:
        raise Unavailable(
            f'server.device: got "{device}", which onnxruntime offers but could not start here: there is no '
            "such device, or the libraries for it are missing or of another version"
        )
