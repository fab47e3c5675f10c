"""Whether requests may share a run of a model: by the owner's word, by its file, and by a trial.

The owner's ``batching: none`` always holds. ``batching: true`` stands for names that a file lacks and for a
trial that could not be made, but not against a trial.
"""

from __future__ import annotations

from modelserve.batching.sharing import TOGETHER, Sharing, fixed_axis, one_length, unlike_axes, unmatched_axis
from modelserve.domain.inference import Signature
from modelserve.domain.models import ModelPackage, Runtime
from modelserve.errors import InvalidPackage
from modelserve.packages.operators import MIXING, operators_of

_WAY_OUT = "if each row is answered by itself, say `batching: true`"


def objections(package: ModelPackage, signature: Signature) -> str:
    """What speaks against shared runs before any was tried; empty if nothing does. Reads the model's file."""
    if reason := _forbidden(package) or fixed_axis(signature):
        return reason
    if package.batching:
        return ""
    if reason := unlike_axes(signature):
        return f"{reason}; {_WAY_OUT}"
    operators = operators_of(package.model_file)
    if mixing := sorted(operators & MIXING):
        return f"its operator {mixing[0]} looks at all rows of a run together"
    longest = unmatched_axis(signature) if "Loop" in operators else ""
    return f"{longest}, and its operator Loop may go on until all rows of a run are done" if longest else ""


def may_fill_gaps(package: ModelPackage) -> bool:
    """Whether the model may put something of its own in the place of what is not a number."""
    return package.runtime is not Runtime.ONNX or "IsNaN" in operators_of(package.model_file)


def unknown(package: ModelPackage, signature: Signature, why: str) -> Sharing:
    """What holds where no trial could be made, because of ``why``."""
    if package.batching and not fixed_axis(signature):
        return one_length("padding was not tried") if _is_padded(signature) else TOGETHER
    return Sharing(False, False, _forbidden(package) or f"{why}; {_WAY_OUT}")


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
