"""Libraries that tell their makers about those who use them, told not to.

They read these variables when they are imported or first used. Every program of ours sets them when it
begins, for itself, for what it starts, and for an owner's code in its processes. ``import modelserve`` sets
nothing in somebody else's program; the one that we import ourselves has a door that is quiet in any program,
:mod:`modelserve._kit.onnxruntime`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import MappingProxyType

ORT = "ORT_DISABLE_TELEMETRY"
"""ONNX Runtime from 1.29 on: a device id and events, with the texts of errors, kept in the user's cache
folder and sent to Microsoft. Its ``docs/Privacy.md`` says that with this variable there is none of it."""

SWITCHES: Mapping[str, str] = MappingProxyType(
    {
        ORT: "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",  # huggingface_hub, and transformers and datasets on top of it
        "DO_NOT_TRACK": "1",  # what others agreed on: consoledonottrack.com
    }
)


def silence() -> None:
    """Whatever was set before: there is no option that lets them speak."""
    os.environ.update(SWITCHES)
