"""Whether requests may share a run of a model: by the owner's word, by its file, and by a trial.

The owner's ``batching: none`` always holds. ``batching: true`` stands for names that a file lacks and for a
trial that could not be made, but not against a trial.
"""

from __future__ import annotations

from modelserve.batching.sharing import TOGETHER, Sharing, fixed_axis, unlike_axes
from modelserve.domain.inference import Signature
from modelserve.domain.models import ModelPackage
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
    mixing = sorted(operators_of(package.model_file) & MIXING)
    return f"its operator {mixing[0]} looks at all rows of a run together" if mixing else ""


def unknown(package: ModelPackage, signature: Signature, why: str) -> Sharing:
    """What holds where no trial could be made, because of ``why``."""
    if package.batching and not fixed_axis(signature):
        return TOGETHER
    return Sharing(False, False, _forbidden(package) or f"{why}; {_WAY_OUT}")


def refused(package: ModelPackage, why: str) -> Sharing:
    """Every request runs alone, because of ``why``. Raises InvalidPackage if the owner says otherwise."""
    if package.batching:
        raise InvalidPackage(
            f"batching: true says that answers do not depend on the other rows of a run, which is not so: "
            f"{why}; leave it out, or say `batching: none`"
        )
    return Sharing(False, False, why)


def _forbidden(package: ModelPackage) -> str:
    return "its owner says batching: none" if package.batching is False else ""
