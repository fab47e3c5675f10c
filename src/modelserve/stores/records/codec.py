"""Dataclasses to JSON documents and back, exactly.

JSON has no infinities, and Postgres refuses Python's way of writing them. So a float that is not finite is
written as ``{"$": "inf"}``, and a key of a caller's own mapping that starts with ``$`` gets one more.
Sequences come back as tuples where the dataclass says so and as lists inside free-form mappings.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, TypeVar

from pydantic import TypeAdapter

from modelserve.domain.experiments import ExperimentState
from modelserve.domain.registry import ModelVersion
from modelserve.domain.rollouts import Revision, Rollout, Transition

T = TypeVar("T")

REVISION = TypeAdapter(Revision)
ROLLOUT = TypeAdapter(Rollout)
TRANSITION = TypeAdapter(Transition)
EXPERIMENT = TypeAdapter(ExperimentState)
MODEL_VERSION = TypeAdapter(ModelVersion)


def to_json(value: Revision | Rollout | Transition | ModelVersion | ExperimentState) -> dict[str, Any]:
    """A document that :func:`dumps` can write."""
    document: dict[str, Any] = escape(asdict(value))
    return document


def from_json(adapter: TypeAdapter[T], document: Any) -> T:
    """What :func:`to_json` was given."""
    return adapter.validate_python(unescape(document))


def escape(value: Any) -> Any:
    """Make everything finite; :func:`unescape` undoes it."""
    if isinstance(value, float) and not math.isfinite(value):
        return {"$": str(value)}
    if isinstance(value, Mapping):
        return {f"${key}" if key.startswith("$") else key: escape(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [escape(item) for item in value]
    return value


def unescape(value: Any) -> Any:
    if isinstance(value, dict):
        if "$" in value:
            return float(value["$"])
        return {key.removeprefix("$"): unescape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [unescape(item) for item in value]
    return value


def dumps(value: Any) -> str:
    """What the JSON columns hold: compact, and never a number that JSON lacks."""
    return json.dumps(value, allow_nan=False, separators=(",", ":"))
