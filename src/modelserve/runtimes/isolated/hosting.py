"""What is hosted, and how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from modelserve.domain.models import Device, ModelPackage

_PACKAGES: TypeAdapter[ModelPackage] = TypeAdapter(ModelPackage)


@dataclass(frozen=True, slots=True)
class Hosting:
    """One model in processes of its own.

    Each process takes ``lanes`` batches at the same time. One that lets an answer wait for more than
    ``limit`` seconds is killed; one that holds more than ``max_memory`` resident bytes is replaced between
    two batches.
    """

    package: ModelPackage
    processes: int = 1
    lanes: int = 1
    limit: float = 60.0
    max_memory: int | None = None
    device: Device = Device.AUTO
    graphs: Path | None = None
    """Where the engine keeps the graphs that it has optimised."""


def load_request(hosting: Hosting) -> Mapping[str, Any]:
    """The head of the first message: what is to be loaded, and onto what."""
    return {
        "package": _PACKAGES.dump_python(hosting.package, mode="json"),
        "device": str(hosting.device),
        "graphs": None if hosting.graphs is None else str(hosting.graphs),
    }


def read_package(head: Mapping[str, Any]) -> ModelPackage:
    return _PACKAGES.validate_python(head["package"], strict=False)


def read_device(head: Mapping[str, Any]) -> Device:
    return Device(head["device"])


def read_graphs(head: Mapping[str, Any]) -> Path | None:
    return None if head["graphs"] is None else Path(head["graphs"])
