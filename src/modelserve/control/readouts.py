"""What an experiment has found so far, for people and programs."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Any

from modelserve.control.experiments import get
from modelserve.control.noting import take_note
from modelserve.control.platform import Platform
from modelserve.domain.experiments import OutcomeMetric
from modelserve.experiments.balance import Balance, balance
from modelserve.experiments.readout import MetricReading, read


async def readout(platform: Platform, name: str) -> dict[str, Any]:
    """Everything that is known of an experiment now, for people. Raises NotFound, Unavailable."""
    state = await get(platform, name)
    await take_note(platform)
    census = await asyncio.to_thread(platform.book.records.census, name)
    spec = state.spec
    division = balance(census, [arm.name for arm in spec.arms])
    ledgers = await platform.ledgers.of(platform.book.records, state, platform.now())
    readings = [read(ledger, 1 - spec.confidence) for ledger in ledgers]
    return {
        "confidence": spec.confidence,
        "exposures": division.observed,
        "crossed": census.crossed,
        "split": _split_view(division),
        "conclusion": readings[0].conclusion if division.is_fair else "the split is not as told",
        "winner": readings[0].winner if division.is_fair else "",
        "metrics": [
            _metric_view(metric, reading) for metric, reading in zip(spec.metrics, readings, strict=True)
        ],
    }


async def course(platform: Platform, name: str, points: int) -> dict[str, Any]:
    """How the readout came about: each metric as it was read after each of ``points`` equal parts of its
    outcomes. Raises NotFound, Unavailable."""
    state = await get(platform, name)
    await take_note(platform)
    spec = state.spec
    told = await platform.ledgers.retrace(
        platform.book.records, state, platform.now(), points, lambda ledger: read(ledger, 1 - spec.confidence)
    )
    metrics = [
        {"name": metric.name, **_rules_view(metric), "points": [_point_view(reading) for reading in readings]}
        for metric, readings in zip(spec.metrics, told, strict=True)
    ]
    return {"name": state.name, "confidence": spec.confidence, "metrics": metrics}


def _point_view(reading: MetricReading) -> dict[str, Any]:
    view = asdict(reading)
    del view["name"]
    return view | {"outcomes": sum(arm.outcomes for arm in reading.arms)}


def _split_view(division: Balance) -> dict[str, Any]:
    finite = min(division.evidence, 1e9)
    return {"fair": division.is_fair, "expected": division.expected, "log_evidence": finite}


def _metric_view(metric: OutcomeMetric, reading: MetricReading) -> dict[str, Any]:
    return _rules_view(metric) | asdict(reading)


def _rules_view(metric: OutcomeMetric) -> dict[str, Any]:
    return {"kind": metric.kind, "direction": metric.direction, "margin": metric.tolerance}
