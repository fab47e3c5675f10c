"""Every metric of a model server and of the controller, declared once, as a sentence with a unit.

*Arm*: which share of the traffic a call belongs to. *Failure*: the server's fault; a client's mistake is
neither success nor failure. The hot path adds integers to plain lists (prometheus_client's own histogram
walks its buckets one by one under a lock); all of it happens on the event loop's thread.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from modelserve._kit.named_counts import NamedCounts
from modelserve.domain.latency import BOUNDS, BUCKETS_PER_DOUBLING

ARMS = ("stable", "candidate", "pinned", "shadow")
COARSE_BOUNDS = BOUNDS[::BUCKETS_PER_DOUBLING]
"""Seconds; one bucket to a doubling, for what no judge reads."""
SIZE_BOUNDS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0)

SENTENCES = {
    "requests_total": "Calls answered, by protocol and HTTP status.",
    "errors_total": "Calls refused or failed, by whose fault it was and the stable error code.",
    "request_duration_seconds": "Seconds from arrival to the last byte handed over, uncached successes only.",
    "rejected_total": "Calls given up before an answer: queue_full, deadline, not_ready, or client_gone.",
    "queue_waiting": "Calls that wait for a free worker now.",
    "queue_wait_seconds": "Seconds that an item waited from its call's arrival to its run.",
    "batch_size": "Rows in one run of the model.",
    "inference_seconds": "Seconds of one run of the model.",
    "cache_requests_total": "Questions to the cache of answers: hit, miss, bypass, or error (down, damaged).",
    "cache_bytes": "Bytes of answers kept in this process.",
    "cache_evictions_total": "Answers that this process dropped before their time, to make room.",
    "feature_cache_requests_total": "Inputs to prepare: hit (prepared before) or miss.",
    "feature_cache_bytes": "Bytes of prepared inputs kept, as far as they can be counted.",
    "feature_cache_evictions_total": "Prepared inputs dropped to make room.",
    "stream_events_total": "Pieces of answers handed over as server-sent events.",
    "stream_first_event_seconds": "Seconds from a call's arrival to the first piece of its answer.",
    "streams_open": "Answers that are given piece by piece now.",
    "streams_waiting": "Calls that wait for the model to take one more answer in pieces.",
    "segment_requests_total": "Calls answered or failed, by part of each segment that a rollout asks for.",
    "segment_failures_total": "Those of them that failed.",
    "engine_available": "1 while an engine outside of the server's process answers, else 0.",
    "engine_memory_bytes": "Resident bytes of each process of an isolated engine.",
    "engine_replaced_total": "Processes of an isolated engine replaced, by reason: died, hung or memory.",
    "experiment_exposures_total": "Participants that met an arm of an experiment first, by arm.",
    "experiment_crossed_total": "Participants that met another arm later, because the weights changed.",
    "experiment_outcomes_total": "Outcomes told since the controller's start, by what became of them.",
    "experiment_split_fair": "1 while chance explains how participants are divided among the arms, else 0.",
    "experiment_split_evidence": "Logarithm of the evidence against a fair split: unfair from 6.9 on.",
}
_REJECTIONS = {"overloaded": "queue_full", "deadline_exceeded": "deadline", "not_ready": "not_ready"}


class Histogram:
    """Counts of values by upper bound, and their sum."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def cumulative(self) -> list[tuple[str, float]]:
        """Prometheus' buckets: each with all that is not above its bound."""
        pairs, reached = [], 0
        for bound, count in zip((*self.bounds, float("inf")), self.counts, strict=True):
            reached += count
            pairs.append(("+Inf" if bound == float("inf") else repr(bound), float(reached)))
        return pairs


@dataclass(slots=True)
class ArmFigures:
    """What one arm did since the process started."""

    requests: int = 0
    """Successes and failures of inference calls."""
    failures: int = 0
    client_errors: int = 0
    abandoned: int = 0
    """Calls whose client went away before the answer; in none of the others."""
    latency: Histogram = field(default_factory=lambda: Histogram(BOUNDS))
    answered: Counter[tuple[str, int]] = field(default_factory=Counter)
    """By protocol and status."""
    errors: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By fault and code."""
    rejected: Counter[str] = field(default_factory=Counter)

    def as_json(self) -> dict[str, Any]:
        return {
            "requests": self.requests,
            "failures": self.failures,
            "client_errors": self.client_errors,
            "abandoned": self.abandoned,
            "latency": self.latency.counts,
        }


class EngineVitals(Protocol):
    """What ``runtimes.base.Vitals`` says, in words of this module."""

    @property
    def available(self) -> bool: ...

    @property
    def memory(self) -> Mapping[int, int]: ...

    @property
    def replaced(self) -> Mapping[str, int]: ...


class Holding(Protocol):
    """Something that keeps a bounded number of bytes."""

    @property
    def held(self) -> int: ...

    @property
    def evictions(self) -> int: ...


class Features(Holding, Protocol):
    @property
    def results(self) -> Mapping[str, int]: ...


class OpenStreams(Protocol):
    open: int
    waiting: int


class Telemetry:
    """The figures of one revision of one model in this process."""

    def __init__(self, service: str, revision: str, epoch: str) -> None:
        self.service, self.revision, self.epoch = service, revision, epoch
        self.waiting: Callable[[], int] = lambda: 0
        """Asked at each scrape for the calls that wait."""
        self.queue_wait = Histogram(COARSE_BOUNDS)
        self.batch_size = Histogram(SIZE_BOUNDS)
        self.inference = Histogram(COARSE_BOUNDS)
        self.first_event = Histogram(COARSE_BOUNDS)
        self.stream_events = 0
        self.streams: OpenStreams | None = None
        """Of a model that answers in pieces; asked at each scrape."""
        self.vitals: Callable[[], EngineVitals | None] = lambda: None
        """Asked at each scrape how an engine outside of this process is."""
        self.cache: Holding | None = None
        """The cache of answers, if there is one: asked at each scrape."""
        self.cache_results: Counter[str] = Counter()
        self.features: Features | None = None
        """The memory of prepared inputs, likewise."""
        self.arms: defaultdict[str, ArmFigures] = defaultdict(ArmFigures)
        self.segments: defaultdict[tuple[str, str], NamedCounts] = defaultdict(NamedCounts)
        """Calls and failures by part, of each segment that somebody asked for and each arm."""

    @property
    def labels(self) -> list[str]:
        return [self.service, self.revision]

    def succeeded(self, arm: str, protocol: str, seconds: float, cached: bool = False) -> None:
        """A call was answered with 200, ``seconds`` after its arrival; one from the cache tells nothing of
        how fast the model is."""
        figures = self.arms[arm]
        figures.requests += 1
        if not cached:
            figures.latency.add(seconds)
        figures.answered[protocol, 200] += 1

    def failed(self, arm: str, protocol: str, status: int, fault: str, code: str) -> None:
        """A call was answered with an error."""
        figures = self.arms[arm]
        if fault == "client":
            figures.client_errors += 1
        else:
            figures.requests += 1
            figures.failures += 1
        figures.answered[protocol, status] += 1
        figures.errors[fault, code] += 1
        if code in _REJECTIONS:
            figures.rejected[_REJECTIONS[code]] += 1

    def divided(self, arm: str, parts: Mapping[str, str], failed: bool) -> None:
        """A call that the model answered or the server failed belongs to these parts, by segment."""
        for segment, part in parts.items():
            self.segments[segment, arm].add(part, failed)

    def abandoned(self, arm: str) -> None:
        """A call's client went away before the answer."""
        figures = self.arms[arm]
        figures.abandoned += 1
        figures.rejected["client_gone"] += 1

    def began(self, seconds: float) -> None:
        """The first event of an answer in pieces was there, ``seconds`` after the call's arrival."""
        self.first_event.add(seconds)

    def went_on(self) -> None:
        """One more event of an answer in pieces was sent."""
        self.stream_events += 1

    def ran(self, rows: int, seconds: float) -> None:
        """The model ran once."""
        self.batch_size.add(rows)
        self.inference.add(seconds)

    def figures(self) -> dict[str, Any]:
        """The JSON of ``/internal/figures``; counts since the process started, every arm always there."""
        arms = {arm: self.arms[arm].as_json() for arm in ARMS}
        return {"service": self.service, "revision": self.revision, "epoch": self.epoch, "arms": arms}


class ServerTelemetry(Collector):
    """All that one process counts: its models' figures, kept when a model goes and comes back."""

    def __init__(self, service: str, revision: str, epoch: str) -> None:
        self.epoch = epoch
        self._models: dict[tuple[str, str], Telemetry] = {}
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)
        self.own = self.of(service, revision)
        """The figures of the server's own revision, and of calls for models that are not there."""

    def of(self, service: str, revision: str) -> Telemetry:
        """The figures of one revision."""
        key = (service, revision)
        if key not in self._models:
            self._models[key] = Telemetry(service, revision, self.epoch)
        return self._models[key]

    def forget_segments(self) -> None:
        """Something else is asked for: what was counted by its name so far is not the same."""
        for model in self._models.values():
            model.segments.clear()

    def exposition(self) -> bytes:
        """The text of ``/metrics``."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        models = tuple(self._models.values())
        yield _counter(models, "requests_total", ("protocol", "code"), lambda arm: arm.answered)
        yield _counter(models, "errors_total", ("fault", "code"), lambda arm: arm.errors)
        yield _counter(models, "rejected_total", ("reason",), lambda arm: arm.rejected)
        yield _durations(models)
        yield _waiting(models)
        for name, attribute in _SHARED.items():
            yield _shared(models, name, attribute)
        yield from _streams(models)
        yield from _segments(models)
        yield from _engines(models)
        yield from _kept("cache", [(m, m.cache, m.cache_results) for m in models if m.cache])
        yield from _kept("feature_cache", [(m, m.features, m.features.results) for m in models if m.features])


def _counter(models: Sequence[Telemetry], name: str, labels: tuple[str, ...], counts: Any) -> Metric:
    family = CounterMetricFamily(*named(name), labels=(*_OWN, "arm", *labels))
    for model in models:
        for arm, figures in model.arms.items():
            for key, count in counts(figures).items():
                parts = key if isinstance(key, tuple) else (key,)
                family.add_metric([*model.labels, arm, *map(str, parts)], count)
    return family


def _durations(models: Sequence[Telemetry]) -> Metric:
    name, sentence = named("request_duration_seconds")
    family = HistogramMetricFamily(name, sentence, labels=(*_OWN, "arm"))
    for model in models:
        for arm, figures in model.arms.items():
            latency = figures.latency
            family.add_metric([*model.labels, arm], latency.cumulative(), latency.total)
    return family


def _waiting(models: Sequence[Telemetry]) -> Metric:
    family = GaugeMetricFamily(*named("queue_waiting"), labels=_OWN)
    for model in models:
        family.add_metric(model.labels, model.waiting())
    return family


def _shared(models: Sequence[Telemetry], name: str, attribute: str) -> Metric:
    family = HistogramMetricFamily(*named(name), labels=_OWN)
    for model in models:
        histogram: Histogram = getattr(model, attribute)
        family.add_metric(model.labels, histogram.cumulative(), histogram.total)
    return family


def _streams(models: Sequence[Telemetry]) -> Iterator[Metric]:
    sent = CounterMetricFamily(*named("stream_events_total"), labels=_OWN)
    under_way = GaugeMetricFamily(*named("streams_open"), labels=_OWN)
    waiting = GaugeMetricFamily(*named("streams_waiting"), labels=_OWN)
    for model in models:
        sent.add_metric(model.labels, model.stream_events)
        if model.streams is not None:
            under_way.add_metric(model.labels, model.streams.open)
            waiting.add_metric(model.labels, model.streams.waiting)
    return iter((sent, under_way, waiting))


def _segments(models: Sequence[Telemetry]) -> Iterator[Metric]:
    labels = (*_OWN, "arm", "segment", "part")
    requests = CounterMetricFamily(*named("segment_requests_total"), labels=labels)
    failures = CounterMetricFamily(*named("segment_failures_total"), labels=labels)
    for model in models:
        for (segment, arm), counts in model.segments.items():
            for part, (_, total, bad) in counts.read().items():
                requests.add_metric([*model.labels, arm, segment, part], total)
                failures.add_metric([*model.labels, arm, segment, part], bad)
    return iter((requests, failures)) if any(model.segments for model in models) else iter(())


def _engines(models: Sequence[Telemetry]) -> Iterator[Metric]:
    available = GaugeMetricFamily(*named("engine_available"), labels=_OWN)
    memory = GaugeMetricFamily(*named("engine_memory_bytes"), labels=(*_OWN, "process"))
    replaced = CounterMetricFamily(*named("engine_replaced_total"), labels=(*_OWN, "reason"))
    for model in models:
        if (vitals := model.vitals()) is None:
            continue
        available.add_metric(model.labels, float(vitals.available))
        for index, held in vitals.memory.items():
            memory.add_metric([*model.labels, str(index)], held)
        for reason in ("died", "hung", "memory"):
            replaced.add_metric([*model.labels, reason], vitals.replaced.get(reason, 0))
    return iter((available, memory, replaced))


def _kept(which: str, caches: Sequence[tuple[Telemetry, Holding, Mapping[str, int]]]) -> Iterator[Metric]:
    if not caches:
        return
    asked = CounterMetricFamily(*named(f"{which}_requests_total"), labels=(*_OWN, "result"))
    held = GaugeMetricFamily(*named(f"{which}_bytes"), labels=_OWN)
    evicted = CounterMetricFamily(*named(f"{which}_evictions_total"), labels=_OWN)
    for model, cache, results in caches:
        for result, count in results.items():
            asked.add_metric([*model.labels, result], count)
        held.add_metric(model.labels, cache.held)
        evicted.add_metric(model.labels, cache.evictions)
    yield from (asked, held, evicted)


_OWN = ("service", "revision")
_SHARED = {
    "queue_wait_seconds": "queue_wait",
    "batch_size": "batch_size",
    "inference_seconds": "inference",
    "stream_first_event_seconds": "first_event",
}


def named(name: str) -> tuple[str, str]:
    """(name for Prometheus, its sentence)."""
    return f"modelserve_{name}", SENTENCES[name]
