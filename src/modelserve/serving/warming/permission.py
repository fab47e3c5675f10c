"""Whether requests may share a run of a model: by the owner's word, by its file, and by a trial.

The owner's ``batching: none`` always holds. ``batching: true`` stands for names that a file lacks and for a
trial that could not be made, but not against a trial.
"""

from __future__ import annotations

import math

from modelserve.batching.sharing import TOGETHER, Sharing, fixed_axis, one_length, stray_axis, unlike_axes
from modelserve.domain.inference import Signature
from modelserve.domain.models import ModelPackage, Runtime
from modelserve.errors import InvalidPackage
from modelserve.packages.operators.decisions import decision
from modelserve.packages.operators.names import MIXING, odd_numbers, operators_of

_WAY_OUT = "if each row is answered by itself, say `batching: true`"


def objections(package: ModelPackage, signature: Signature) -> str:
    """What speaks against shared runs before any was tried; empty if nothing does. Reads the model's file."""
    if reason := _forbidden(package) or fixed_axis(signature):
        return reason
    if package.batching:
        return ""
    if reason := unlike_axes(signature):
        return f"{reason}; {_WAY_OUT}"
    if mixing := sorted(operators_of(package.model_file) & MIXING):
        return f"its operator {mixing[0]} looks at all rows of a run together"
    decided = decision(package.model_file) if is_graph(package) else stray_axis(signature)
    return f"{decided}; {_WAY_OUT}" if decided else ""


def is_graph(package: ModelPackage) -> bool:
    """Whether it can be read what the model does with its inputs."""
    return package.runtime is Runtime.ONNX


def replaceable(package: ModelPackage) -> frozenset[float]:
    """NaN and infinity, where the model may put something of its own in their place."""
    return odd_numbers(package.model_file) if is_graph(package) else frozenset({math.nan})


def unknown(package: ModelPackage, signature: Signature, why: str) -> Sharing:
    """What holds where no trial could be made, because of ``why``."""
    if package.batching and not fixed_axis(signature):
        return one_length("padding was not tried") if _is_padded(signature) else TOGETHER
    return Sharing(False, False, _forbidden(package) or fixed_axis(signature) or f"{why}; {_WAY_OUT}")


def refused(package: ModelPackage, why: str) -> Sharing:
    """Every request runs alone, because of ``why``. Raises InvalidPackage if the owner says otherwise."""
    if package.batching:
        raise InvalidPackage(
            f"batching: true says that answers do not depend on the other rows of a run, which is not so: "
            f"{why}; leave it out, or say `batching: none`"
        )
    return Sharing(False, False, why)


def _is_padded(signature: Signature) -> bool:
    return any(spec.pad is not None for spec in signature.inputs)


def _forbidden(package: ModelPackage) -> str:
    return "its owner says batching: none" if package.batching is False else ""
