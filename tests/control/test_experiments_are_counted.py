"""What Prometheus gets to know of experiments."""

from __future__ import annotations

import pytest
from httpx import ASGITransport, AsyncClient
from prometheus_client.parser import text_string_to_metric_families

from modelserve.control import experiments
from modelserve.control.app import create_app
from modelserve.control.outcomes import record
from tests.control.exposed import begin, line


@pytest.fixture
async def tone(serving, tmp_path):
    log = tmp_path / "exposures.log"
    await begin(serving, log, [{"name": "ok"}])
    log.write_text(line("x", "a") + line("y", "b") + line("z", "b"))
    await serving.ticks(1)
    return serving


async def scraped(controller):
    transport = ASGITransport(create_app(controller.platform))
    async with AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        answer = await client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name.removeprefix("modelserve_experiment_"), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


async def test_exposures_outcomes_and_the_split_are_told(tone):
    told = [{"key": "x", "metric": "ok", "value": value} for value in (1, 1, 0, 7)]
    await record(tone.platform, "tone", told)
    found = await scraped(tone)
    assert found.pop(("split_evidence", "tone", "m")) < 1
    assert found == {
        ("exposures_total", "a", "tone", "m"): 1,
        ("exposures_total", "b", "tone", "m"): 2,
        ("crossed_total", "tone", "m"): 0,
        ("split_fair", "tone", "m"): 1,
        ("outcomes_total", "tone", "accepted"): 1,
        ("outcomes_total", "tone", "duplicate"): 1,
        ("outcomes_total", "tone", "contradicting"): 1,
        ("outcomes_total", "tone", "malformed"): 1,
    }


async def test_an_unfair_split_is_told(tone):
    with (tone.folder / "exposures.log").open("a") as log:
        log.writelines(line(f"{n}", "a") for n in range(100))
    await tone.ticks(1)
    found = await scraped(tone)
    assert found["split_fair", "tone", "m"] == 0
    assert found["split_evidence", "tone", "m"] > 6.9


async def test_a_restart_loses_no_participant_and_a_deletion_every_series(tone):
    await tone.restart()
    assert (await scraped(tone))["exposures_total", "b", "tone", "m"] == 2
    await record(tone.platform, "tone", [{"key": "x", "metric": "ok", "value": 1}])
    await experiments.delete(tone.platform, "tone")
    assert await scraped(tone) == {}
