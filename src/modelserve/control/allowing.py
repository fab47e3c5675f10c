"""What the rules of a rollout may make the platform do: run an owner's function, ask a server."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from modelserve.domain.guardrails import HttpMetric, PromQL, PythonMetric
from modelserve.domain.models import Allowed
from modelserve.domain.services import ModelService, RolloutSpec
from modelserve.errors import InvalidSpec

_PORTS = {"http": 80, "https": 443}


def require_allowed(spec: ModelService, allowed: Allowed) -> None:
    """Raise InvalidSpec for rules that would do what the operator has not allowed."""
    rollout = spec.spec.rollout
    for field, function in _functions(rollout):
        if not allowed.code:
            raise InvalidSpec(
                f"spec.rollout.{field}: got {function!r}, which this platform doesn't run; its operator may "
                f"allow it: modelserve up --allow-code"
            )
    for field, url in _urls(rollout):
        _require_reach(f"spec.rollout.{field}", url, allowed)


def _functions(rollout: RolloutSpec) -> Iterator[tuple[str, str]]:
    if rollout.shadow is not None and rollout.shadow.compare.python is not None:
        yield "shadow.compare.python", rollout.shadow.compare.python
    for place, rail in enumerate(rollout.judge.guardrails):
        if isinstance(rail.source, PythonMetric):
            yield f"judge.guardrails.{place}.source.python", rail.source.python


def _urls(rollout: RolloutSpec) -> Iterator[tuple[str, str]]:
    for place, rail in enumerate(rollout.judge.guardrails):
        field = f"judge.guardrails.{place}.source"
        if isinstance(rail.source, HttpMetric):
            yield f"{field}.http", rail.source.http
        if isinstance(rail.source, PromQL) and rail.source.url is not None:
            yield f"{field}.url", rail.source.url


def _require_reach(field: str, url: str, allowed: Allowed) -> None:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    except (ValueError, KeyError) as error:
        raise InvalidSpec(f"{field}: {error}; write http://host:port/path") from None
    if "@" in parts.netloc:
        raise InvalidSpec(f"{field}: leave the user out of the URL: a spec is shown to everybody")
    if not allowed.sends_to(host, port):
        raise InvalidSpec(
            f"{field}: {host}:{port} is not asked; the platform's operator may allow it: "
            f"MODELSERVE_ALLOW_EXTERNAL={host}:{port}"
        )
