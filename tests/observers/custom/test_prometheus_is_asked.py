"""Prometheus is asked: a stub that answers as its API is documented, and the program where there is one.

The program is found on the PATH, or where PROMETHEUS names it (Debian's package ``prometheus``).
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import threading
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


def counted(*counts: tuple[str, int, int]) -> dict[str, int]:
    """What the queries of ``REFUNDS`` are answered with: a revision's orders and refunds."""
    source = REFUNDS["source"]
    return {
        fill(source[query], Arm("ner", revision, "")): count
        for revision, orders, refunds in counts
        for query, count in (("promql", orders), ("bad", refunds))
    }


async def rise(seen: Any, stable: int, candidate: int) -> Outcome:
    """What the arms added by the time they have that many orders more. Looks go on meanwhile: one may find
    new figures of one arm only, or none where a scrape failed."""
    total = [Trials(), Trials()]
    async with asyncio.timeout(20):
        while (total[0].n, total[1].n) != (stable, candidate):
            sighting = await seen.until(lambda s: s.outcomes, "a look")
            told = sighting.outcomes["refunds"]
            total = [_sum(*arms) for arms in zip(total, (told.stable, told.candidate), strict=True)]
    return Outcome(*total)


def _sum(one: Trials, other: Trials | None) -> Trials:
    return Trials(one.n + other.n, one.bad + other.bad) if other else one


async def test_with_two_queries_for_each_arm(site, watch):
    site.queries = counted(("ner-00001", 100, 1), ("ner-00002", 10, 0))
    seen = watch(REFUNDS, prometheus=site.url)
    await seen.begun()
    site.queries = counted(("ner-00001", 150, 2), ("ner-00002", 20, 3))
    assert await rise(seen, 50, 10) == Outcome(Trials(50, 1), Trials(10, 3))


@pytest.mark.parametrize("first", ["promql", "bad"])
async def test_until_no_scrape_came_between_the_two(site, watch, first):
    before = counted(("ner-00001", 100, 1), ("ner-00002", 10, 0))
    after = counted(("ner-00001", 150, 2), ("ner-00002", 20, 3))
    seen = watch(REFUNDS, prometheus=site.url)
    site.queries = before
    await seen.begun()
    early, late = (
        fill(REFUNDS["source"][query], Arm("ner", "ner-00002", ""))
        for query in (first, {"promql": "bad", "bad": "promql"}[first])
    )
    arrived = threading.Event()

    def told_early() -> int:
        site.queries = after
        arrived.set()
        return before[early]

    def told_late() -> int:
        arrived.wait(20)
        return after[late]

    site.queries = before | {early: told_early, late: told_late}
    told = [await seen.until(lambda s: s.outcomes, "a look")]
    while told[-1].outcomes["refunds"].candidate == Trials():
        told.append(await seen.until(lambda s: s.outcomes, "a rise"))
    assert told[-1].outcomes["refunds"].candidate == Trials(10, 3)
    assert [one.notes for one in told] == [()] * len(told)


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
    assert await rise(seen, 50, 10) == Outcome(Trials(50, 1), Trials(10, 3))


async def test_and_the_program_says_what_is_wrong_with_a_query(prometheus, watch):
    rail = {"name": "queue", "kind": "limit", "limit": 5, "source": {"promql": "sum("}}
    sighting = await watch(rail, prometheus=prometheus).until(lambda s: s.notes, "a note")
    assert "answered 400: invalid parameter" in sighting.notes[0]
    assert "unclosed left parenthesis" in sighting.notes[0]
