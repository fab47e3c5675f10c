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


def _split_view(division: Balance) -> dict[str, Any]:
    finite = min(division.evidence, 1e9)
    return {"fair": division.is_fair, "expected": division.expected, "log_evidence": finite}


def _metric_view(metric: OutcomeMetric, reading: MetricReading) -> dict[str, Any]:
    rules = {"kind": metric.kind, "direction": metric.direction, "margin": metric.tolerance}
    return rules | asdict(reading)
