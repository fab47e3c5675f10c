"""A source without data says why: on one line, with its name and without its secrets."""

from __future__ import annotations

import json

import pytest

RATE = {"name": "refunds", "kind": "rate", "maxIncrease": "1%"}
LIMIT = {"name": "spend", "kind": "limit", "limit": 1.0}


async def note(seen) -> str:
    sighting = await seen.until(lambda s: s.notes, "a note")
    assert sighting.values == {"spend": None}
    assert "\n" not in sighting.notes[0]
    return sighting.notes[0]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((500, b"{}"), "answered 500"),
        ((200, b"<html>secret</html>"), "answered 200 with what is no JSON"),
        ((200, b"[" * 100_000), "with what is no JSON"),
        ((200, b"[1]"), "has nothing at total"),
        ((200, b'{"total": null}'), "has null at total"),
        ((200, b'{"total": "7"}'), "has no number at total, but str"),
        ((200, b'{"total": true}'), "has no number at total, but bool"),
        ((200, b'{"total": NaN}'), "has nan at total"),
        ((200, b'{"total": 1e999}'), "has inf at total"),
        ((200, b" " * 300_000), "answered with more than 256 KiB"),
        ((302, b"http://user:secret@10.0.0.1/x?key=secret"), "a redirect to http://10.0.0.1/x, which is not"),
    ],
)
async def test_over_http(site, watch, answer, said):
    site.answers["/m"] = answer
    told = await note(watch({**LIMIT, "source": {"http": f"{site.url}/m?key=secret"}}))
    assert told.startswith(f"spend: {site.url}/m ")
    assert said in told
    assert "secret" not in told


async def test_where_nobody_listens(watch):
    told = await note(watch({**LIMIT, "source": {"http": "http://ann:secret@127.0.0.1:1/x"}}))
    assert told == "spend: http://127.0.0.1:1/x could not be asked (ConnectError)"


QUERY = 'queue{revision="{revision}"}'
FILLED = 'queue{revision="ner-00002"}'


def prometheus(code: int, **content) -> tuple[int, bytes]:
    return code, json.dumps(content).encode()


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (
            [],
            "has no series for ner-00002 that matches; if that means zero, end the query with: or vector(0)",
        ),
        ([1, 2], "answered with 2 series for ner-00002; sum() makes them one"),
        (["NaN"], "answered nan for ner-00002"),
        (["+Inf"], "answered inf for ner-00002"),
        (["soon"], "answered with a value that is no number"),
        (
            prometheus(400, status="error", errorType="bad_data", error="parse error:\nunexpected end"),
            "answered 400: parse error: unexpected end",
        ),
        (prometheus(503, status="error"), "answered 503: without a reason"),
        (
            prometheus(200, status="success", data={"resultType": "matrix", "result": []}),
            "answered with matrix; a query must give one number",
        ),
        (prometheus(200, status="success"), "answered with None"),
        ((200, b"[]"), "answered 200 with what is no object"),
        ((200, b'{"status": "success", "data": {"resultType": "vector", "result": [3]}}'), "is no number"),
    ],
)
async def test_over_prometheus(site, watch, told, said):
    site.queries[FILLED] = told
    found = await note(watch({**LIMIT, "source": {"promql": QUERY}}, prometheus=f"{site.url}/"))
    assert found.startswith(f"spend: Prometheus at {site.url} ")
    assert said in found


async def test_where_nobody_said_where_prometheus_is(watch):
    found = await note(watch({**LIMIT, "source": {"promql": "up"}}))
    assert found.endswith("is nowhere: give the source a url, or set MODELSERVE_PROMETHEUS_URL")


async def test_where_the_bad_ones_are_missing(site, watch):
    site.queries["all"] = 7
    seen = watch({**RATE, "source": {"promql": "all", "bad": "errors"}}, prometheus=site.url)
    sighting = await seen.until(lambda s: s.notes, "a note")
    assert "has no series for ner-00001 that matches" in sighting.notes[0]
