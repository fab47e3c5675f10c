"""The one door to ONNX Runtime: it tells nobody about us. Nothing else imports it.

Raises ModuleNotFoundError where it is not installed.
"""

from __future__ import annotations

import os

from modelserve._kit.quiet import ORT, SWITCHES

os.environ[ORT] = SWITCHES[ORT]  # read once, by the import itself

import onnxruntime

# Where a program imported it before us, the switch came too late: then at least no texts of errors are kept.
onnxruntime.disable_telemetry_events()

__all__ = ["onnxruntime"]
