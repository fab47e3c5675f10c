"""Whether an ONNX model throws dice: then equal questions get different answers."""

from __future__ import annotations

import mmap
from pathlib import Path

OPERATORS = (
    "Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike",
)  # fmt: skip
_OP_TYPE = 0x22
"""How ``op_type``, field 4 of a ``NodeProto`` (onnx.proto), begins on the wire; its length follows."""


def random_operators(model_file: Path) -> tuple[str, ...]:
    """The random operators of the graph in this file, by looking for their names; none in other files.

    A name may also stand where it is no operator, in a weight say: then a model looks random that is not,
    which costs a little speed and no truth. Raises OSError.
    """
    if model_file.suffix != ".onnx" or not model_file.stat().st_size:
        return ()
    with model_file.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return tuple(name for name in OPERATORS if content.find(_on_the_wire(name)) >= 0)


def _on_the_wire(name: str) -> bytes:
    return bytes((_OP_TYPE, len(name))) + name.encode()
