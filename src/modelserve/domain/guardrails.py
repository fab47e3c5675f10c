"""What a candidate must not make worse: the guardrails of a rollout, where their figures come from, and the
segments that they may look at one by one.

A guardrail is one of four kinds of comparison. *Failures and latency* are counted by the proxy and the
servers. *Labels* tell later whether a prediction was right. *Custom* figures come from a source of the
owner's. All but a plain limit compare the candidate with the stable revision at the same time.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal
from urllib.parse import urlsplit, urlunsplit

from pydantic import Field, model_validator

from modelserve.domain.quantities import Duration, Percent
from modelserve.domain.sections import Section

Label = Annotated[str, Field(min_length=1, max_length=256)]
Title = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]


class Metric(StrEnum):
    """What a guardrail watches."""

    ERROR_RATE = "error_rate"
    LATENCY_P50 = "latency_p50"
    LATENCY_P99 = "latency_p99"
    ACCURACY = "accuracy"
    """Share of labelled predictions that were right."""
    RECALL = "recall"
    """Of the predictions labelled with one class, the share that was predicted as it."""
    SCORE = "score"
    """Mean of the scores in 0..1 that labels carry."""
    CUSTOM = "custom"
    """Whatever ``source`` tells."""

    @property
    def of_latency(self) -> bool:
        return self in (Metric.LATENCY_P50, Metric.LATENCY_P99)

    @property
    def of_labels(self) -> bool:
        return self in (Metric.ACCURACY, Metric.RECALL, Metric.SCORE)


class Kind(StrEnum):
    """What a custom source tells of each arm, in each interval."""

    RATE = "rate"
    """How many there were, and how many of them were bad."""
    MEAN = "mean"
    """How many there were, and the sum of their values, each between ``low`` and ``high``; more is worse
    unless the guardrail has ``maxDecrease``."""
    QUANTILE = "quantile"
    """How many there were, and how many lay beyond the quantile's limit."""
    LIMIT = "limit"
    """One value of the candidate's that must not exceed ``limit``. A plain limit: without an error bound."""


def shown(url: str) -> str:
    """A URL as people may see it: without the name and password in it, and without its query."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


class PromQL(Section):
    """Two queries to Prometheus, or one for a plain limit. ``{revision}``, ``{service}`` and ``{arm}`` in
    them are replaced. They tell counters: the rise between two looks counts."""

    promql: Annotated[str, Field(min_length=1, max_length=4096)]
    """How many there were so far; of a plain limit, the value."""
    bad: Annotated[str, Field(max_length=4096)] = ""
    """How many of them were bad so far, or the sum of their values."""
    url: Annotated[str, Field(pattern=r"^https?://", max_length=2048)] | None = None
    """Of Prometheus; ``MODELSERVE_PROMETHEUS_URL`` when left out."""


class HttpMetric(Section):
    """A GET that answers with JSON. ``{revision}``, ``{service}`` and ``{arm}`` in the URL are replaced."""

    http: Annotated[str, Field(pattern=r"^https?://", max_length=2048)]
    """The URL."""
    total: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")] = "total"
    """Where in the answer the number so far stands, with dots between names; of a plain limit, the value."""
    bad: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")] = "bad"
    """Where the number of bad ones so far stands, or the sum of their values."""


class PythonMetric(Section):
    """A function of the owner's; only where the operator allows code (``modelserve up --allow-code``)."""

    python: Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")]
    """``module:function``, called with ``service``, ``revision`` and ``arm``; returns (total, bad) so far, or
    the value of a plain limit. None: no data."""


Source = PromQL | HttpMetric | PythonMetric


_SECRET = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key"})


class Segment(Section):
    """A way to divide requests, each part of which is looked at by itself."""

    name: Title
    """What it is called, in guardrails and in verdicts."""
    header: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")] | None = None
    """Divide by the value of a request header, such as ``x-tenant`` or ``accept-language``."""
    by: Literal["size", "answer"] | None = None
    """``size``: by the request's bytes, in powers of ten. ``answer``: by the class that was predicted."""

    @model_validator(mode="after")
    def _divides_by_one_thing(self) -> Segment:
        if (self.header is None) == (self.by is None):
            raise ValueError('say either header: "x-tenant", or by: "size" or "answer"')
        if self.header is not None and self.header.lower() in _SECRET:
            raise ValueError(f"{self.header} holds a secret, and parts are shown; choose another header")
        return self


class Guardrail(Section):
    """What a candidate must not make worse.

    For ``error_rate``, ``maxIncrease`` is in percentage points on top of ``maxRatio`` times the stable rate;
    for a latency it is relative to the stable revision's quantile; for the others an increase or decrease is
    in percentage points (of a mean, in hundredths of ``high - low``).
    """

    metric: Metric
    """What is measured."""
    max_increase: Annotated[Percent, Field(gt=0, le=10)] | None = None
    """How much more the candidate may have than the stable revision."""
    max_decrease: Annotated[Percent, Field(gt=0, lt=1)] | None = None
    """How much less it may have: for accuracy, recall and score, and for a custom metric of which more is
    better."""
    max_ratio: Annotated[float, Field(ge=1, le=100)] | None = None
    """Only for ``error_rate``; 1.25 when left out."""
    min_increase: Annotated[Duration, Field(ge=0, le=60)] | None = None
    """Only for a latency: an increase up to this never counts, whatever its share; 1ms when left out."""
    label: Label | None = None
    """Only for ``recall``: the class."""
    segment: Title | None = None
    """Only for ``error_rate`` and the label metrics: look at each part of this segment by itself."""
    name: Title | None = None
    """Only for ``custom``: what the metric is called."""
    kind: Kind | None = None
    """Only for ``custom``: what the source tells."""
    source: Source | None = None
    """Only for ``custom``: where the figures come from."""
    limit: float | None = None
    """Only for ``custom`` of kind ``limit``: the largest value allowed."""
    low: float = 0.0
    """Only for ``custom`` of kind ``mean``: the smallest value there can be."""
    high: float = 1.0
    """Only for ``custom`` of kind ``mean``: the largest value there can be."""
    required: bool | None = None
    """Whether a step waits until the candidate has been shown to be within the margin. When left out: yes,
    but for label metrics and segments, whose figures may come late or never."""

    @property
    def key(self) -> str:
        """Tells one guardrail of a rollout from another; the metric's name where that is enough."""
        name = self.name or self.metric.value
        name += f"({self.label})" if self.label is not None else ""
        return name + (f" by {self.segment}" if self.segment else "")

    @property
    def margin(self) -> float:
        """The increase, or the decrease, that is allowed; 0 of a plain limit."""
        return self.max_increase or self.max_decrease or 0.0

    @property
    def is_required(self) -> bool:
        if self.required is not None:
            return self.required
        return not self.metric.of_labels and self.segment is None

    @model_validator(mode="after")
    def _each_metric_has_its_own(self) -> Guardrail:
        _check_margin(self)
        _check_fields(self)
        if self.metric is Metric.CUSTOM:
            _check_custom(self)
        return self


def _check_margin(rail: Guardrail) -> None:
    if rail.kind is Kind.LIMIT:
        return
    less = rail.metric.of_labels
    given = [name for name in ("max_increase", "max_decrease") if getattr(rail, name) is not None]
    if rail.metric is Metric.CUSTOM and len(given) != 1:
        raise ValueError('say either maxIncrease or maxDecrease, such as maxDecrease: "1%"')
    if rail.metric is not Metric.CUSTOM and given != ["max_decrease" if less else "max_increase"]:
        wanted, other = ("maxDecrease", "maxIncrease") if less else ("maxIncrease", "maxDecrease")
        raise ValueError(f"{rail.metric} needs {wanted}, and has no {other}")
    if rail.metric is Metric.ERROR_RATE and (rail.max_increase or 0) >= 1:
        raise ValueError("maxIncrease of error_rate is in percentage points, below 100%")


def _check_fields(rail: Guardrail) -> None:
    """Fields that belong to some metrics alone."""
    owners = {
        "max_ratio": ("maxRatio belongs to error_rate alone; a latency has maxIncrease", ("error_rate",)),
        "min_increase": (
            "minIncrease belongs to a latency; error_rate has maxIncrease and maxRatio",
            ("latency_p50", "latency_p99"),
        ),
        "label": ("label belongs to recall alone", ("recall",)),
        "segment": (
            "segment belongs to error_rate, accuracy, recall and score",
            ("error_rate", "accuracy", "recall", "score"),
        ),
        "name": ("name belongs to custom alone", ("custom",)),
        "kind": ("kind belongs to custom alone", ("custom",)),
        "source": ("source belongs to custom alone", ("custom",)),
        "limit": ("limit belongs to custom alone", ("custom",)),
    }
    for field, (message, metrics) in owners.items():
        if getattr(rail, field) is not None and rail.metric.value not in metrics:
            raise ValueError(message)
    if rail.metric is Metric.RECALL and rail.label is None:
        raise ValueError("recall needs label, the class that it is about")


def _check_custom(rail: Guardrail) -> None:
    missing = [field for field in ("name", "kind", "source") if getattr(rail, field) is None]
    if missing:
        raise ValueError(f"custom needs {' and '.join(missing)}")
    if rail.name in Metric.__members__.values():
        raise ValueError(f"name: {rail.name!r} is a metric of its own; choose another name")
    if isinstance(rail.source, PromQL) and rail.kind is not Kind.LIMIT and not rail.source.bad:
        raise ValueError("source: promql counts all; bad, a second query, must count the bad ones")
    if (rail.kind is Kind.LIMIT) != (rail.limit is not None):
        raise ValueError("limit belongs to kind: limit, which needs it")
    if rail.high <= rail.low:
        raise ValueError("high must be above low")


DEFAULT_GUARDRAILS = (
    Guardrail(metric=Metric.ERROR_RATE, max_increase="0.2%"),
    Guardrail(metric=Metric.LATENCY_P50, max_increase="15%"),
    Guardrail(metric=Metric.LATENCY_P99, max_increase="25%"),
)
