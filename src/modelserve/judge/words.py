"""Numbers as an on-call person reads them."""

from __future__ import annotations

from math import exp
from typing import Literal

from modelserve.domain.guardrails import Guardrail, HttpMetric, Kind, Metric, PromQL, shown
from modelserve.domain.latency import BOUNDS
from modelserve.judge.evidence import Recent, Sums, Tally
from modelserve.statistics.histograms import Tails

TITLES = {
    Metric.ERROR_RATE: "error rate",
    Metric.LATENCY_P50: "median latency",
    Metric.LATENCY_P99: "p99 latency",
}
QUANTILES = {Metric.LATENCY_P50: 0.5, Metric.LATENCY_P99: 0.99}


def percent(share: float) -> str:
    """0.1213 -> ``12.1 %``; small shares keep two digits: 0.00043 -> ``0.043 %``."""
    value = share * 100
    if value == 0 or value >= 10:
        return f"{value:.3g} %"
    return f"{value:.2g} %"


def times(log_e: float) -> str:
    """An e-value in words' reach: ``0.31``, ``7.4``, ``4,100``, ``more than a billion``."""
    if log_e > 20.7:
        return "more than a billion"
    value = exp(log_e)
    if value >= 99.5:
        digits = len(str(round(value))) - 2
        return f"{round(value, -digits):,.0f}"
    return f"{value:.2g}" if value >= 0.01 else "less than 0.01"


def milliseconds(seconds: float) -> str:
    """``0.84 ms``, ``12 ms``, ``1,240 ms``."""
    value = seconds * 1000
    return f"{value:,.0f} ms" if value >= 10 else f"{value:.2g} ms"


def count(number: int, thing: str) -> str:
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def failure_share(failures: int, requests: int) -> float | None:
    return failures / requests if requests else None


def latency_quantile(metric: Metric, past: Recent) -> float | None:
    """Seconds, by the upper bound of the bucket that holds it; None where latency was not seen."""
    bucket = Tails(past.latency).bucket_of(QUANTILES[metric])
    return None if bucket < 0 else BOUNDS[min(bucket, len(BOUNDS) - 1)]


def comparison(metric: Metric, step: Tally, stable: Recent, candidate: Recent) -> str:
    """``error rate 12.1 % (34 of 281) against 0.2 % on stable``."""
    title = TITLES[metric]
    if metric is Metric.ERROR_RATE:
        return f"{title} {_failures(step)}"
    ours, theirs = latency_quantile(metric, candidate), latency_quantile(metric, stable)
    if ours is None or theirs is None:
        return f"{title} not measured yet"
    return f"{title} {milliseconds(ours)} against {milliseconds(theirs)} on stable"


def _failures(step: Tally) -> str:
    ours = failure_share(step.candidate_failures, step.candidate)
    if ours is None:
        return "not measured yet"
    text = f"{percent(ours)} ({step.candidate_failures:,} of {step.candidate:,})"
    theirs = failure_share(step.stable_failures, step.stable)
    return text if theirs is None else f"{text} against {percent(theirs)} on stable"


def unit(guardrail: Guardrail) -> Literal["share", "seconds", "number"]:
    """What a guardrail's figures are."""
    if guardrail.metric.of_latency:
        return "seconds"
    return "number" if guardrail.metric is Metric.SCORE or guardrail.kind is Kind.MEAN else "share"


def figure(guardrail: Guardrail, bad: float) -> float:
    """A share of bad outcomes in the guardrail's terms: accuracy for wrong answers, a mean on its scale."""
    share = 1 - bad if guardrail.max_decrease is not None else bad
    return guardrail.low + (guardrail.high - guardrail.low) * share


def told(guardrail: Guardrail, name: str, sums: Sums) -> str:
    """``accuracy 88 % (of 281) against 90 % on stable (of 2,529)``."""
    if not sums.candidate:
        return f"{name} not measured yet"
    ours = f"{_told(guardrail, sums.candidate_failures, sums.candidate)} (of {sums.candidate:,.0f})"
    if not sums.stable:
        return f"{name} {ours}"
    theirs = _told(guardrail, sums.stable_failures, sums.stable)
    return f"{name} {ours} against {theirs} on stable (of {sums.stable:,.0f})"


def _told(guardrail: Guardrail, bad: float, total: float) -> str:
    value = figure(guardrail, bad / total)
    return percent(value) if unit(guardrail) == "share" else f"{value:.4g}"


def source(guardrail: Guardrail) -> str:
    """Where a guardrail's outcomes come from."""
    match guardrail.source:
        case PromQL(promql=query):
            return f"the Prometheus query {query!r}"
        case HttpMetric(http=url):
            return shown(url)
        case None:
            return "labels" if guardrail.metric.of_labels else "the front door"
        case python:
            return f"the function {python.python}"
