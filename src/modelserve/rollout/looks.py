"""One look of the judge as one line of JSON, exactly: what was seen, where the rollout stood, what was said.

A line has at least ``at`` (Unix seconds), ``stage`` (the fields of the judge's stage) and ``observation``;
what equals its default is left out. A recorded one also has its ``number`` within the rollout, the
``decision`` and the ``metric`` that decided, the candidate's ``weight`` after it, and a ``seal`` of the
verdict. A latency histogram is ``{"buckets": 172, "counts": {"40": 12}}``, or simply all of its counts.
Floats come back to the last bit; those that JSON lacks are written as ``"inf"``, ``"-inf"`` and ``"nan"``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from functools import cache
from hashlib import blake2b
from typing import Any

from pydantic import TypeAdapter, ValidationError

from modelserve.domain.rollouts import Decision, GuardrailReading, Observation, Verdict
from modelserve.errors import InvalidInput

GROUND_EVERY = 256
"""Every so many looks one is stored with its ground, so that what came before it may be forgotten."""
MOST_BUCKETS = 10_000

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Ground:
    """What a look stood on."""

    evidence: Mapping[str, Any] = field(default_factory=dict)
    """The judge's state before the look, as it dumps it; empty before the first."""
    policy: str = ""
    """Digest of the rules that were judged by: see :func:`policy_digest`."""
    judge: Mapping[str, str] = field(default_factory=dict)
    """Which judge it was: versions, and a digest of its code."""


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a rollout, and what the judge said of it."""

    at: float
    """Unix seconds."""
    stage: Mapping[str, Any]
    """Where the rollout stood: the fields of ``modelserve.judge.Stage``."""
    observation: Observation
    number: int = 0
    """Looks of this rollout before it."""
    decision: Decision | None = None
    metric: str = ""
    """What decided, if one thing did."""
    weight: float = 0.0
    """The candidate's share of live traffic after the look."""
    seal: str = ""
    """See :func:`seal`."""
    ground: Ground | None = None


_LOOK = TypeAdapter(Look)


def to_json(look: Look) -> Json:
    """The object of one line; :func:`from_json` gives back an equal look."""
    return {"at": look.at, "stage": _plain(look.stage), "observation": {}} | _bare(look)


def from_json(document: Any) -> Look:
    """Raises InvalidInput that names the field."""
    if not isinstance(document, Mapping):
        raise InvalidInput(f"a look must be a JSON object, not {type(document).__name__}")
    try:
        return _LOOK.validate_python({**document, "observation": _dense(document.get("observation"))})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InvalidInput(f"a look can't be read: {where}: {first['msg']}") from None


def encode(look: Look) -> str:
    """One line, without its end."""
    return json.dumps(to_json(look), allow_nan=False, separators=(",", ":"), default=_number)


def decode(line: str) -> Look:
    """Raises InvalidInput for what is no line of :func:`encode`."""
    try:
        document = json.loads(line)
    except ValueError as error:
        raise InvalidInput(f"a look can't be read: {error}") from None
    return from_json(document)


def seal(verdict: Verdict) -> str:
    """Sixteen letters that differ if the decision, its words or any figure that it rests on do, to the last
    bit. It guards against mistakes, not against somebody who computes it anew."""
    figures = [[getattr(r, name) for name, _ in _defaults(GuardrailReading)] for r in verdict.readings]
    told = (verdict.decision.value, verdict.metric, verdict.requests, verdict.reasons, figures)
    return blake2b(repr(told).encode(), digest_size=8).hexdigest()


def policy_digest(policy: Mapping[str, Any]) -> str:
    """Of a rollout's spec as JSON types, by alias."""
    text = json.dumps(policy, sort_keys=True, separators=(",", ":"))
    return blake2b(text.encode(), digest_size=16).hexdigest()


def _bare(value: Any) -> Json:
    """The fields of a dataclass that differ from their defaults."""
    bare = {}
    for name, default in _defaults(value.__class__):
        found = getattr(value, name)
        if not _same(found, default):
            bare[name] = _sparse(found) if name == "latency" else _plain(found)
    return bare


def _same(found: Any, default: Any) -> bool:
    return found is default or (found == default and str(found) == str(default))  # -0.0 is not 0.0


@cache
def _defaults(kind: Any) -> tuple[tuple[str, Any], ...]:
    return tuple((f.name, _default(f)) for f in fields(kind))


def _default(of: Any) -> Any:
    return of.default_factory() if of.default_factory is not MISSING else of.default


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, str | int) or value is None:
        return value
    if is_dataclass(value):
        return _bare(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return _number(value)


def _number(value: Any) -> Any:
    """A number of numpy's as one of Python's, the same to the last bit."""
    return value.item()


def _sparse(counts: Any) -> Json:
    return {"buckets": len(counts), "counts": {str(i): _plain(n) for i, n in enumerate(counts) if n}}


def _dense(observation: Any) -> Any:
    """The observation with whole histograms."""
    if not isinstance(observation, Mapping):
        return observation
    arms = {name: observation[name] for name in ("stable", "candidate") if name in observation}
    return {**observation, **{name: _dense_arm(arm) for name, arm in arms.items()}}


def _dense_arm(arm: Any) -> Any:
    if not isinstance(arm, Mapping) or not isinstance(arm.get("latency"), Mapping):
        return arm
    try:
        told = arm["latency"]
        counts = [0] * min(int(told["buckets"]), MOST_BUCKETS)
        for bucket, count in told["counts"].items():
            counts[int(bucket)] = count
    except (KeyError, ValueError, IndexError, TypeError, AttributeError):
        raise InvalidInput(
            'a look can\'t be read: latency must be like {"buckets": 172, "counts": {"40": 12}}'
        ) from None
    return {**arm, "latency": counts}
