"""Prometheus is asked: a stub that answers as its API is documented, and the program where there is one.

The program is found on the PATH, or where PROMETHEUS names it (Debian's package ``prometheus``).
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from modelserve._kit.ports import free_port
from modelserve.domain.rollouts import Outcome, Trials
from modelserve.observers.custom.base import Arm
from modelserve.observers.custom.prometheus import fill

PROGRAM = os.environ.get("PROMETHEUS") or shutil.which("prometheus")
REFUNDS = {
    "name": "refunds",
    "kind": "rate",
    "maxIncrease": "1%",
    "source": {
        "promql": 'sum(shop_orders_total{revision="{revision}"})',
        "bad": 'sum(shop_refunds_total{revision="{revision}"}) or vector(0)',
    },
}


async def test_with_two_queries_for_each_arm(site, watch):
    def counted(revision: str, total: int, bad: int) -> None:
        arm = Arm("ner", revision, "")
        site.queries[fill(REFUNDS["source"]["promql"], arm)] = total
        site.queries[fill(REFUNDS["source"]["bad"], arm)] = bad

    counted("ner-00001", 100, 1)
    counted("ner-00002", 10, 0)
    seen = watch(REFUNDS, prometheus=site.url)
    await seen.begun()
    counted("ner-00001", 150, 2)
    counted("ner-00002", 20, 3)
    sighting = await seen.until(lambda s: s.outcomes, "the rise is told")
    assert sighting.outcomes == {"refunds": Outcome(Trials(50, 1), Trials(10, 3))}


async def test_where_the_source_says_rather_than_the_platform(site, watch):
    site.queries["queue"] = 3
    source = {"promql": "queue", "url": site.url}
    rail = {"name": "queue", "kind": "limit", "limit": 5, "source": source}
    seen = watch(rail, prometheus="http://127.0.0.1:1")
    assert (await seen.until(lambda s: s.values, "a value")).values == {"queue": 3.0}


def test_about_names_that_end_no_string():
    arm = Arm('a"b', "c\\d\n", "it's")
    assert fill("""x{s="{service}",r="{revision}",a='{arm}'}""", arm) == (
        r"""x{s="a\"b",r="c\\d\n",a='it\'s'}"""
    )


def test_and_other_braces_stay():
    assert fill('rate({job="x"}[{arm}])', Arm("s", "r", "stable")) == 'rate({job="x"}[stable])'


@pytest.fixture
def prometheus(site: Any, tmp_path: Any) -> Iterator[str]:
    """The program, which scrapes ``/metrics`` of the site ten times a second."""
    if PROGRAM is None:
        pytest.skip("NOT TESTED: Prometheus itself, for none is on the PATH; a stub of its API stands in")
    target, port = site.url.removeprefix("http://"), free_port()
    config = tmp_path / "prometheus.yml"
    config.write_text(
        "scrape_configs:\n- {job_name: shop, scrape_interval: 100ms, scrape_timeout: 100ms, "
        f"static_configs: [{{targets: ['{target}']}}]}}\n"
    )
    url = f"127.0.0.1:{port}"
    options = [f"--config.file={config}", f"--storage.tsdb.path={tmp_path}/data"]
    process = subprocess.Popen(
        [PROGRAM, *options, f"--web.listen-address={url}"], stderr=(tmp_path / "log").open("wb")
    )
    try:
        until = time.monotonic() + 30
        while not _ready(f"http://{url}"):
            assert process.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < until, "Prometheus is ready"
            time.sleep(0.05)
        yield f"http://{url}"
    finally:
        process.kill()
        process.wait()


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/-/ready").status_code == 200
    except httpx.TransportError:
        return False


async def test_and_the_program_itself_answers(prometheus, site, watch):
    def expose(*counts: tuple[str, int, int]) -> None:
        lines = [
            f'shop_{name}_total{{revision="{revision}"}} {count}'
            for revision, orders, refunds in counts
            for name, count in (("orders", orders), ("refunds", refunds))
            if count
        ]
        site.answers["/metrics"] = (200, ("\n".join(lines) + "\n").encode())

    expose(("ner-00001", 100, 1))
    seen = watch(REFUNDS, prometheus=prometheus)
    sighting = await seen.until(lambda s: "ner-00002" in "".join(s.notes), "the candidate has no series")
    assert sighting.outcomes == {"refunds": Outcome()}
    expose(("ner-00001", 100, 1), ("ner-00002", 10, 0))
    await seen.begun()
    expose(("ner-00001", 150, 2), ("ner-00002", 20, 3))
    total = Outcome(Trials(), Trials())
    async with asyncio.timeout(20):
        while total.candidate.bad < 3 or total.stable.bad < 1:
            sighting = await seen.until(lambda s: s.outcomes, "a rise")
            told = sighting.outcomes["refunds"]
            total = Outcome(*(_sum(a, b) for a, b in zip(_arms(total), _arms(told), strict=True)))
    assert total == Outcome(Trials(50, 1), Trials(10, 3))


def _arms(outcome: Outcome) -> tuple[Trials, Trials]:
    assert outcome.stable is not None
    assert outcome.candidate is not None
    return outcome.stable, outcome.candidate


def _sum(one: Trials, other: Trials) -> Trials:
    return Trials(one.n + other.n, one.bad + other.bad)


async def test_and_the_program_says_what_is_wrong_with_a_query(prometheus, watch):
    rail = {"name": "queue", "kind": "limit", "limit": 5, "source": {"promql": "sum("}}
    sighting = await watch(rail, prometheus=prometheus).until(lambda s: s.notes, "a note")
    assert "answered 400: invalid parameter" in sighting.notes[0]
    assert "unclosed left parenthesis" in sighting.notes[0]
