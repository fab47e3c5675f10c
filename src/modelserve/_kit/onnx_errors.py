"""What ONNX Runtime says when it refuses, without its source locations, file paths and length."""

from __future__ import annotations

import re
from pathlib import Path

_PREFIX = re.compile(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ")
_LOADING = re.compile(r"^Load model from .+? failed: ?")
_SOURCE = re.compile(
    r"(?:\S*/)?[\w.-]+\.(?:cc|cpp|h|hpp|cu):\d+ "  # file and line of the engine's source
    r"(?:[\w:<>,&*~ ]*::[\w~]+\([^\n]*?\) (?:const )?(?:\[with [^\]]*\] )?|\w+ )"  # its function
)
_QUOTED_PATH = re.compile(r'"(?:[^"\n]*/)([^"/\n]+)"')


def first_line(error: Exception, folder: Path | None = None, limit: int = 300) -> str:
    """The first line of the engine's message, at most ``limit`` characters; ``folder`` is cut from paths."""
    text = _LOADING.sub("", _PREFIX.sub("", str(error).strip()))
    text = _QUOTED_PATH.sub(r'"\1"', _SOURCE.sub("", text))
    if folder is not None:
        text = text.replace(f"{folder}/", "")
    line = (text.strip().splitlines() or [type(error).__name__])[0].strip()
    return line if len(line) <= limit else line[: limit - 1] + "…"
