"""Figures, sampled answers, metrics and logs: what stays behind of a call."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from modelserve.domain.latency import BOUNDS, BUCKETS
from modelserve.serving.answers import AnswerLog
from modelserve.serving.exchange import Exchange
from modelserve.serving.identity import Identity
from modelserve.serving.logs import PER_SECOND, EventLog
from modelserve.telemetry import Histogram, ServerTelemetry

FAIL, NAN = -1.0, -2.0


async def test_successes_failures_and_client_errors_are_told_apart(serve: Any) -> None:
    async with serve() as server:
        for row in ([0.0, 1.0], [0.0, 2.0], [FAIL, 0.0], [NAN, 0.0]):
            await server.infer(row)
        await server.client.post("/v2/models/m/infer", content=b"{")
        figures = server.figures()
        assert (figures["requests"], figures["failures"], figures["client_errors"]) == (4, 2, 1)
        assert len(figures["latency"]) == BUCKETS
        assert sum(figures["latency"]) == 2


async def test_each_arm_has_its_own_figures(serve: Any) -> None:
    async with serve() as server:
        told = [
            {},
            {"x-modelserve-arm": "candidate"},
            {"x-modelserve-arm": "pinned"},
            {"x-modelserve-arm": "nonsense"},
            {"host": "127.0.0.1:8080-shadow"},
            {"host": "models.example-shadow:8080", "x-modelserve-arm": "candidate"},
            {"host": "models.example-shadow:8080"},
            {"host": "127.0.0.1:8080", "x-modelserve-arm": "shadow"},
        ]
        for headers in told:
            await server.infer([0, 1], headers=headers)
        body = (await server.client.get("/internal/figures")).json()
        assert {arm: figures["requests"] for arm, figures in body["arms"].items()} == {
            "stable": 2,
            "candidate": 2,
            "pinned": 1,
            "shadow": 3,
        }
        assert (body["service"], body["revision"], body["epoch"]) == ("m", "m-00001", "e" * 32)


async def test_metadata_and_health_calls_are_not_counted(serve: Any) -> None:
    async with serve() as server:
        for path in ("/v2", "/v2/health/ready", "/v2/models/m", "/nowhere", "/internal/figures"):
            await server.client.get(path)
        assert server.figures()["requests"] == server.figures()["client_errors"] == 0


def test_a_value_is_counted_under_the_first_bound_that_is_not_below_it() -> None:
    histogram = Histogram(BOUNDS)
    histogram.add(BOUNDS[3])
    histogram.add(BOUNDS[3] * 1.0001)
    histogram.add(1e9)
    assert (histogram.counts[3], histogram.counts[4], histogram.counts[-1]) == (1, 1, 1)


async def test_metrics_parse_and_agree_with_the_figures(serve: Any) -> None:
    async with serve() as server:
        await server.infer([0, 1])
        await server.infer([FAIL, 1], headers={"x-modelserve-arm": "candidate"})
        await server.client.post("/v1/models/m:predict", json={"instances": []})
        text = (await server.client.get("/metrics")).text
        families = {family.name: family for family in text_string_to_metric_families(text)}
        own = {"service": "m", "revision": "m-00001"}
        requests = {tuple(sorted(s.labels.items())): s.value for s in families["modelserve_requests"].samples}
        for arm, protocol, code in (
            ("stable", "oip", "200"),
            ("candidate", "oip", "500"),
            ("stable", "v1", "400"),
        ):
            assert (
                requests[tuple(sorted((own | {"arm": arm, "protocol": protocol, "code": code}).items()))] == 1
            )
        errors = {(s.labels["fault"], s.labels["code"]) for s in families["modelserve_errors"].samples}
        assert errors == {("server", "model_failed"), ("client", "invalid_input")}
        durations = families["modelserve_request_duration_seconds"].samples
        buckets = [s for s in durations if s.name.endswith("_bucket") and s.labels["arm"] == "stable"]
        assert [float(s.labels["le"]) for s in buckets] == [*BOUNDS, float("inf")]
        assert buckets[-1].value == 1
        for name in ("queue_waiting", "queue_wait_seconds", "batch_size", "inference_seconds"):
            assert families[f"modelserve_{name}"].samples[0].labels.items() >= own.items()
        assert families["modelserve_batch_size"].documentation.endswith(".")
        assert "process_resident_memory_bytes" in families


async def test_refused_calls_are_counted_by_reason(serve: Any) -> None:
    async with serve(ready=False) as server:
        await server.infer([0, 1])
        text = server.telemetry.exposition().decode()
        assert 'modelserve_rejected_total{arm="stable",reason="not_ready",' in text


SAMPLE = {"x-modelserve-sample": "1"}


async def test_sampled_answers_can_be_read_in_pages(serve: Any) -> None:
    async with serve() as server:
        for n in range(5):
            await server.infer([0, float(n)], headers=SAMPLE | {"x-request-id": f"r{n}"})
        await server.infer([0, 9])
        first = (await server.client.get("/internal/answers?after=0&limit=3")).json()
        rest = (await server.client.get(f"/internal/answers?after={first['next']}")).json()
        both = first["answers"] + rest["answers"]
        assert [(a["seq"], a["id"]) for a in both] == [(n + 1, f"r{n}") for n in range(5)]
        assert both[2].pop("at") == pytest.approx(time.time(), abs=60)
        assert both[2] == {
            "seq": 3, "id": "r2", "arm": "stable", "status": 200,
            "answer": {"kind": "tensors", "outputs": {"y": {"shape": [1, 2], "data": [0.0, 4.0]}}},
        }  # fmt: skip
        done = (await server.client.get(f"/internal/answers?after={rest['next']}")).json()
        assert done == {"epoch": "e" * 32, "next": 5, "oldest": 1, "answers": []}


async def test_sampled_failures_are_kept_without_an_answer(serve: Any) -> None:
    async with serve() as server:
        await server.infer([FAIL, 0], headers=SAMPLE | {"host": "m-shadow"})
        await server.client.post("/v2/models/m/infer", content=b"{", headers=SAMPLE)
        kept = page(server.answers)["answers"]
        assert [(a["status"], a["answer"], a["arm"]) for a in kept] == [
            (500, None, "shadow"),
            (400, None, "stable"),
        ]


async def test_no_text_of_the_input_is_kept(serve: Any) -> None:
    async with serve(text=True) as server:
        await server.client.post("/predict/m", json={"text": "private Name"}, headers=SAMPLE)
        kept = page(server.answers)["answers"]
        assert kept[0]["answer"] == {"kind": "entities", "items": [[["CAPITAL", 8, 9]]]}
        assert "private" not in json.dumps(kept)


async def test_the_text_of_the_input_is_kept_where_the_front_door_says_so(serve: Any) -> None:
    headers = {"x-modelserve-sample": "inputs", "x-request-id": "r1"}
    async with serve(text=True) as server:
        await server.client.post("/predict/m", json={"text": "my Name"}, headers=headers)
        copy = headers | {"x-modelserve-arm": "shadow"}
        await server.client.post("/predict/m", json={"text": "my Name"}, headers=copy)
        wanted = {"ids": ["r1", "unknown"]}
        found = (await server.client.post("/internal/answers/find", json=wanted)).json()
        original, copied = found["answers"]
        assert original["input"] == {"kind": "texts", "items": ["my Name"]}
        assert "input" not in copied
        assert (found["epoch"], found["originals"]) == ("e" * 32, 1)
        bad = await server.client.post("/internal/answers/find", json={"ids": ["r"] * 1001})
        assert bad.status_code == 400


def test_answers_are_found_by_request_while_they_are_kept() -> None:
    log = AnswerLog(3, "e")
    for n in range(5):
        log.add(f"r{n % 2}", "stable", 200, None)
    found = json.loads(log.of(["r0", "r1", "r0", "gone"]))
    assert [(answer["id"], answer["seq"]) for answer in found["answers"]] == [("r0", 3), ("r0", 5), ("r1", 4)]
    for n in range(3):
        log.add(f"s{n}", "stable", 200, None)
    assert json.loads(log.of(["r0", "r1"]))["answers"] == []


def page(log: AnswerLog, after: int = 0) -> Any:
    return json.loads(log.after(after))


def test_answers_are_kept_within_a_budget_of_bytes() -> None:
    log = AnswerLog(1000, "e", budget=1000)
    for n in range(20):
        log.add(f"r{n}", "stable", 200, {"kind": "labels", "items": ["x" * 200]})
    kept = page(log)
    assert [answer["id"] for answer in kept["answers"]] == ["r17", "r18", "r19"]
    assert (kept["oldest"], kept["next"]) == (18, 20)
    log.add("large", "stable", 200, {"kind": "labels", "items": ["x" * 2000]})
    assert page(log) == {"epoch": "e", "next": 21, "oldest": 22, "answers": []}


def test_the_oldest_answers_go_first_and_the_gap_is_told() -> None:
    log = AnswerLog(3, "e")
    assert page(log) == {"epoch": "e", "next": 0, "oldest": 1, "answers": []}
    for n in range(10):
        log.add(f"r{n}", "stable", 200, None)
    kept = page(log, 2)
    assert (kept["oldest"], kept["next"]) == (8, 10)
    assert [answer["seq"] for answer in kept["answers"]] == [8, 9, 10]
    assert json.loads(log.after(8, limit=1))["next"] == 9
    assert json.loads(log.after(2**63 - 1))["answers"] == []
    assert page(log, 99)["next"] == 10
    assert page(AnswerLog(0, "e"))["answers"] == []


def exchange(**headers: str) -> Exchange:
    return Exchange.of(
        [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()],
        10.0,
        Identity("m", "m-00001"),
    )


@pytest.mark.parametrize(
    ("told", "limit"),
    [("1000", 0.95), ("60000", 10.0), ("-5", 10.0), ("nan", 10.0), ("inf", 10.0), ("x", 10.0), ("0", 10.0)],
)
def test_the_time_limit_leaves_the_proxy_a_margin(told: str, limit: float) -> None:
    assert exchange(x_envoy_expected_rq_timeout_ms=told).time_limit == pytest.approx(limit)


def test_unfit_headers_count_as_not_sent() -> None:
    odd = exchange(content_length="-1", x_modelserve_sample="yes", x_modelserve_arm="Shadow")
    assert (odd.content_length, odd.sampled, odd.arm) == (None, False, "stable")


def test_a_log_that_cannot_be_written_hurts_nobody() -> None:
    with Path("/dev/full").open("wb") as full:
        log = EventLog(full.fileno(), service="m")
        log.info("ready")
        log.error("failed", ValueError("x"))
    assert log.lost == 2


def test_a_storm_of_one_event_is_cut_and_the_cut_is_told(tmp_path: Path, monkeypatch: Any) -> None:
    now = [100.0]
    monkeypatch.setattr("modelserve.serving.logs.time.monotonic", lambda: now[0])
    path = tmp_path / "log"
    with path.open("wb") as file:
        log = EventLog(file.fileno())
        for _ in range(PER_SECOND + 30):
            log.warning("request_failed")
        log.info("ready")
        now[0] += 1
        log.warning("request_failed")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(lines) == PER_SECOND + 2
    assert lines[-1]["skipped"] == 30
    assert lines[-2]["event"] == "ready"


async def test_a_full_disk_under_the_log_does_not_change_an_answer(serve: Any) -> None:
    async with serve() as server:
        full = os.open("/dev/full", os.O_WRONLY)
        server.app._log._descriptor = full
        answer = await server.infer([FAIL, 1])
        assert (answer.status_code, answer.json()["code"]) == (500, "model_failed")
        assert server.app._log.lost == 1
        os.close(full)


def test_figures_and_metrics_tell_the_same() -> None:
    server = ServerTelemetry("m", "m-00001", "e")
    telemetry = server.own
    for _ in range(3):
        telemetry.succeeded("candidate", "oip", 0.01)
    telemetry.failed("candidate", "oip", 503, "server", "overloaded")
    telemetry.abandoned("candidate")
    assert telemetry.figures()["arms"]["candidate"] | {"latency": []} == {
        "requests": 4,
        "failures": 1,
        "client_errors": 0,
        "abandoned": 1,
        "latency": [],
    }
    text = server.exposition().decode()
    assert 'reason="queue_full",revision="m-00001",service="m"} 1.0' in text
    assert 'reason="client_gone",revision="m-00001",service="m"} 1.0' in text
