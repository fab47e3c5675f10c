"""What experiments tell Prometheus: of those that are not over from the records, at each scrape."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from modelserve.control.platform import Platform
from modelserve.domain.experiments import ExperimentState
from modelserve.domain.participants import Census
from modelserve.experiments.balance import balance
from modelserve.telemetry import named

Told = Mapping[tuple[str, str], int]
"""Outcomes by experiment and what became of them."""


async def exposition(platform: Platform) -> bytes:
    """The text of ``/metrics``. Raises Unavailable."""
    services = platform.book.services()
    states = [service.experiment for service in services if service.experiment]
    censuses = await asyncio.to_thread(lambda: [platform.book.records.census(s.name) for s in states])
    registry = CollectorRegistry()
    registry.register(_Experiments(list(zip(states, censuses, strict=True)), platform.told))
    return generate_latest(registry)


class _Experiments(Collector):
    """One scrape."""

    def __init__(self, censuses: Sequence[tuple[ExperimentState, Census]], told: Told) -> None:
        self._censuses, self._told = censuses, told

    def collect(self) -> Iterator[Metric]:
        labels = ("experiment", "service")
        exposures = CounterMetricFamily(*named("experiment_exposures_total"), labels=(*labels, "arm"))
        crossed = CounterMetricFamily(*named("experiment_crossed_total"), labels=labels)
        fair = GaugeMetricFamily(*named("experiment_split_fair"), labels=labels)
        evidence = GaugeMetricFamily(*named("experiment_split_evidence"), labels=labels)
        for state, census in self._censuses:
            own = [state.name, state.service]
            division = balance(census, [arm.name for arm in state.spec.arms])
            for arm, count in division.observed.items():
                exposures.add_metric([*own, arm], count)
            crossed.add_metric(own, census.crossed)
            fair.add_metric(own, float(division.is_fair))
            evidence.add_metric(own, division.evidence)
        yield from (exposures, crossed, fair, evidence, self._outcomes())

    def _outcomes(self) -> Metric:
        outcomes = CounterMetricFamily(*named("experiment_outcomes_total"), labels=("experiment", "status"))
        for (experiment, status), count in self._told.items():
            outcomes.add_metric([experiment, status], count)
        return outcomes
