"""What Flagger asks: webhooks that go on with HTTP 200, and metric templates that read like Prometheus.

A ``rollout`` webhook is the look: its metadata has the queries and settings. The gates answer by the last.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from modelserve.control.judging.judgements import Judgement
from modelserve.control.judging.prometheus import FIELDS, Queries
from modelserve.domain.rollouts import Decision, Verdict
from modelserve.errors import InvalidInput
from modelserve.judge.streams import Terms

Json = dict[str, Any]
_QUERY = re.compile(r'^([a-z_]+)\{id="([^"{}\\]{1,200})"\}$')
_NAME = re.compile(r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")


class Hook(StrEnum):
    """The types of webhook that the judge answers."""

    ROLLOUT = "rollout"
    """A look. Goes on unless the candidate has to be rolled back."""
    CONFIRM_TRAFFIC_INCREASE = "confirm-traffic-increase"
    """Goes on once the candidate has been shown to be within the margin for the next weight, and at weight 0,
    where Flagger asks before anything could be seen."""
    CONFIRM_PROMOTION = "confirm-promotion"
    """Likewise."""
    ROLLBACK = "rollback"
    """Here 200 means: roll back at once."""


@dataclass(frozen=True, slots=True)
class Call:
    """What Flagger sends."""

    id: str
    version: str
    metadata: Json

    @property
    def queries(self) -> Queries:
        return Queries.of({key: self.metadata[key] for key in FIELDS if key in self.metadata}, "metadata")

    @property
    def settings(self) -> Json:
        """All that Flagger's metadata can hold are texts: a list has commas in it."""
        told = {key: value for key, value in self.metadata.items() if key not in FIELDS}
        if isinstance(told.get("steps"), str):
            told["steps"] = [step.strip() for step in told["steps"].split(",")]
        known = {str(field.alias) for field in Terms.model_fields.values()}
        if unknown := sorted(set(told) - known):
            raise InvalidInput(
                f"metadata.{unknown[0][:80]}: is neither a query ({', '.join(FIELDS)}) nor a setting "
                f"({', '.join(sorted(known))})"
            )
        return told


def call_of(told: Json) -> Call:
    """Raises InvalidInput for what Flagger would not send."""
    for field in ("name", "namespace"):
        if not isinstance(told.get(field), str) or not _NAME.fullmatch(told[field]):
            raise InvalidInput(f"{field}: got {str(told.get(field))[:80]!r}; Flagger sends the canary's")
    version, metadata = told.get("checksum", ""), told.get("metadata") or {}
    if not isinstance(version, str) or len(version) > 200:
        raise InvalidInput(f"checksum: got {str(version)[:80]!r}; Flagger sends a text")
    if not isinstance(metadata, dict):
        raise InvalidInput(f"metadata: got {type(metadata).__name__}; write an object of texts")
    return Call(f"{told['namespace']}.{told['name']}", version, metadata)


FIGURES: dict[str, Callable[[Verdict], float]] = {
    "go_on": lambda verdict: float(verdict.decision is not Decision.ROLL_BACK),
    "promote": lambda verdict: float(verdict.decision is Decision.PROMOTE),
    "harm": lambda verdict: max(reading.harm for reading in verdict.readings),
    "safety": lambda verdict: min(reading.safety for reading in verdict.readings),
    "requests": lambda verdict: float(verdict.requests),
}
"""What a metric template may query, as ``go_on{id="NAMESPACE.NAME"}``."""


def figure_of(query: str) -> tuple[str, str]:
    """(figure, id) of a query. Raises InvalidInput that shows how one is written."""
    match = _QUERY.fullmatch(query.strip())
    if match is None or match[1] not in FIGURES:
        raise InvalidInput(
            f'query: got {query[:80]!r}; write FIGURE{{id="NAMESPACE.NAME"}}, a figure is one of '
            f"{', '.join(FIGURES)}"
        )
    return match[1], match[2]


def vector(value: float | None, at: float) -> Json:
    """Prometheus's answer to an instant query; None: nothing was found."""
    result = [] if value is None else [{"metric": {}, "value": [at, repr(value)]}]
    return {"status": "success", "data": {"resultType": "vector", "result": result}}


def value_of(figure: str, case: Judgement) -> float | None:
    verdict = case.verdict
    return None if verdict is None or not verdict.readings else FIGURES[figure](verdict)
