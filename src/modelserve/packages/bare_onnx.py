"""Layout: one .onnx file, alone or in a folder, served as plain tensors."""

from __future__ import annotations

from modelserve.domain.models import Runtime
from modelserve.packages.graph import read_signature
from modelserve.packages.single_file import SingleFile

BARE_ONNX = SingleFile(Runtime.ONNX, (".onnx",), read_signature)
"""A file ``anything.onnx``, or a folder with exactly one such file and no config.json."""
