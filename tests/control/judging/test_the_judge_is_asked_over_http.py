"""The judge over HTTP: stateless, by id, and with counts from a Prometheus."""

import asyncio
import http.server
import json
import threading
from urllib.parse import parse_qs

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelserve.control.judging.alone import create_app
from modelserve.control.judging.judgements import Judgements, Seen
from modelserve.control.judging.prometheus import Prometheus, Queries
from modelserve.judge.standing import Judge

QUERIES = {"stableTotal": "s", "stableBad": "sb", "candidateTotal": "c", "candidateBad": "cb"}
FINE = {"stable": {"n": 900, "bad": 1}, "candidate": {"n": 100, "bad": 0}}
BAD = {"stable": {"n": 900, "bad": 1}, "candidate": {"n": 100, "bad": 30}}


@pytest.fixture
def prometheus():
    """A server that answers instant queries from a dictionary, as Prometheus does."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            length = int(self.headers["content-length"])
            (query,) = parse_qs(self.rfile.read(length).decode())["query"]
            values = self.server.figures.get(query, [])
            result = [{"metric": {}, "value": [0, str(value)]} for value in values]
            body = json.dumps({"status": "success", "data": {"result": result}}).encode()
            self.send_response(200 if query != "sum(" else 400)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        server.figures = {}
        server.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def judging(prometheus, tmp_path):
    def connect(state=None):
        app = create_app(prometheus.url, state, ("judge.test",))
        return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8090")

    return connect


@pytest.fixture
async def api(judging):
    async with judging() as client:
        yield client


def problem(answer, status):
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.json()["detail"]


def tell(server, stable, candidate):
    told = zip(QUERIES.values(), (*stable, *candidate), strict=True)
    server.figures = {query: [value] for query, value in told}


async def test_evidence_goes_back_and_forth_and_the_verdicts_are_those_of_the_library(api):
    judge, evidence = Judge(), ""
    for counts in (FINE, FINE, BAD, BAD, BAD):
        told = (await api.post("/api/v1/judge", json=counts | {"evidence": evidence})).json()
        verdict = judge.update(*((arm["n"], arm["bad"]) for arm in counts.values()))
        assert (told["decision"], told["reasons"]) == (verdict.decision, list(verdict.reasons))
        evidence = told["evidence"]
    assert (told["decision"], told["go_on"], evidence) == ("roll back", False, judge.evidence)


async def test_a_judge_with_an_id_remembers_by_itself(api):
    first = (await api.post("/api/v1/judge/shop", json=FINE | {"settings": {"maxIncrease": "1%"}})).json()
    assert first["decision"] == "continue"
    await api.post("/api/v1/judge/shop", json=FINE)
    assert (await api.get("/api/v1/judge/shop")).json()["requests"] == 200
    for _ in range(3):  # one look with failures may be one burst
        told = (await api.post("/api/v1/judge/shop", json=BAD)).json()
    assert told["decision"] == "roll back"
    conflict = await api.post("/api/v1/judge/shop", json=FINE | {"settings": {"maxIncrease": "2%"}})
    assert "other settings" in problem(conflict, 409)
    await api.delete("/api/v1/judge/shop")
    problem(await api.get("/api/v1/judge/shop"), 404)


async def test_another_version_begins_anew(api):
    await api.post("/api/v1/judge/shop", json=BAD | {"version": "1"})
    told = (await api.post("/api/v1/judge/shop", json=FINE | {"version": "2"})).json()
    assert (told["decision"], told["requests"]) == ("continue", 100)


async def test_counters_are_told_by_their_rise_and_a_restart_adds_nothing(api):
    def totals(n, bad):
        arms = {"stable": {"n": 9 * n, "bad": 0}, "candidate": {"n": n, "bad": bad}}
        return arms | {"counts": "totals", "seconds": 5}

    seen = []
    for n, bad in ((1000, 900), (1100, 900), (50, 0), (150, 0)):
        told = (await api.post("/api/v1/judge/shop", json=totals(n, bad))).json()
        seen.append(told["requests"])
    assert seen == [0, 100, 100, 200], "neither the first reading nor a counter that fell is evidence"
    assert told["decision"] == "continue"


async def test_evidence_outlives_a_restart(judging, tmp_path):
    async with judging(tmp_path) as before:
        await before.post("/api/v1/judge/shop", json=FINE)
    async with judging(tmp_path) as after:
        assert (await after.post("/api/v1/judge/shop", json=FINE)).json()["requests"] == 200
        for file in tmp_path.iterdir():
            file.write_text("{")
    async with judging(tmp_path) as anew:
        assert (await anew.post("/api/v1/judge/shop", json=FINE)).json()["requests"] == 100


async def test_a_hard_failure_outlives_a_restart(judging, tmp_path):
    async with judging(tmp_path) as before:
        failing = FINE | {"hardFailure": "no server of shop-2 is ready"}
        told = (await before.post("/api/v1/judge/shop", json=failing)).json()
    async with judging(tmp_path) as after:
        again = (await after.get("/api/v1/judge/shop")).json()
        assert (told["decision"], told["reasons"]) == (again["decision"], again["reasons"])
        assert again["decision"] == "roll back"
        assert (await after.post("/api/v1/judge/shop", json=FINE)).json()["decision"] != "roll back"


async def test_a_step_that_was_begun_is_not_taken_for_judged_after_a_restart(tmp_path):
    settings = {"steps": ["5%", "25%", "50%", "100%"]}
    before = Judgements(tmp_path)
    seen = Seen((90_000, 9), (10_000, 1), seconds=60.0, gated=True)
    judged = await before.look("shop", seen, settings, "1")
    assert judged.verdict.decision == "promote"
    await before.next_step("shop", "1")
    for judgements in (before, Judgements(tmp_path)):
        case = await judgements.next_step("shop", "1")
        assert (case.step, case.verdict) == (1, None)


async def test_counts_come_from_prometheus(api, prometheus):
    ask = {"prometheus": QUERIES, "seconds": 5}
    tell(prometheus, (9000, 9), (0, 0))
    assert (await api.post("/api/v1/judge/shop", json=ask)).json()["decision"] == "hold"
    for looks in (1, 2, 3):
        tell(prometheus, (9000 + 900 * looks, 9 + looks), (100 * looks, 30 * looks))
        told = (await api.post("/api/v1/judge/shop", json=ask)).json()
    assert (told["decision"], told["requests"]) == ("roll back", 300)


class Scraped:
    """Figures that a scrape changes between the query for bad ones and the one for all."""

    def __init__(self, before, after):
        self._figures, self._after, self._arrived = before, after, threading.Event()

    def get(self, query, _):
        if query == "c":
            self._arrived.wait(10)
        told = self._figures[query]
        if query == "cb":
            self._figures = self._after
            self._arrived.set()
        return [told]


async def test_counts_are_never_from_before_and_after_a_scrape(prometheus):
    before, after = ({"s": 900, "sb": 1, "c": n, "cb": bad} for n, bad in ((100, 0), (200, 30)))
    prometheus.figures = Scraped(before, after)
    counts = await Prometheus(prometheus.url).counts(Queries.of(QUERIES, "prometheus"))
    assert counts == ((900, 1), (200, 30))


async def test_a_prometheus_that_finds_nothing_holds_and_one_that_is_down_is_told(api, prometheus):
    ask = {"prometheus": QUERIES}
    assert (await api.post("/api/v1/judge/shop", json=ask)).json()["decision"] == "hold"
    prometheus.figures = {"s": [1, 2]}
    assert "sum(...)" in problem(await api.post("/api/v1/judge/shop", json=ask), 400)
    broken = ask | {"prometheus": QUERIES | {"stableTotal": "sum("}}
    assert "no query" in problem(await api.post("/api/v1/judge/shop", json=broken), 400)
    transport = httpx.ASGITransport(create_app("http://127.0.0.1:9"))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as lonely:
        problem(await lonely.post("/api/v1/judge/shop", json=ask), 503)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(create_app()), base_url="http://127.0.0.1"
    ) as alone:
        assert "--prometheus" in problem(await alone.post("/api/v1/judge/shop", json=ask), 400)


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("", [], ["body", "list"]),
        ("", {"stabel": {}}, ["stabel", "stable, candidate"]),
        ("", {"stable": {"n": 1}}, ["stable", "bad"]),
        ("", {"stable": {"n": 1, "bad": 2}}, ["stable.bad", "2"]),
        ("", {"stable": {"n": "x", "bad": 2}}, ["stable.n", "'x'"]),
        ("", {"seconds": "soon"}, ["seconds", "30s"]),
        ("", {"weight": "1"}, ["weight", "0.5%"]),
        ("", {"counts": "sums"}, ["counts", "increments or totals"]),
        ("", {"counts": "totals"}, ["counts", "id"]),
        ("", {"evidence": "x"}, ["evidence", "whole text"]),
        ("", {"evidence": 5}, ["evidence", "5"]),
        ("", {"settings": []}, ["settings", "object"]),
        ("", {"settings": {"maxIncrease": 1}}, ["settings.maxIncrease", "1", "0.5%"]),
        ("/a", {"evidence": "x"}, ["evidence", "by itself"]),
        ("/a", {"prometheus": {"stableTotal": "x"}}, ["prometheus.stableBad", "PromQL"]),
        ("/a", {"prometheus": {"total": "x"}}, ["prometheus.total", "stableTotal"]),
        ("/a", FINE | {"prometheus": QUERIES}, ["prometheus", "either"]),
        ("/flagger/rollout", {}, ["name", "Flagger"]),
        ("/flagger/rollout", {"name": "a", "namespace": "b", "metadata": {}}, ["metadata.stableTotal"]),
    ],
)
async def test_a_mistake_is_told_by_field_value_and_fix(api, path, body, words):
    said = problem(await api.post(f"/api/v1/judge{path}", json=body), 400)
    assert [word for word in words if word not in said] == []


async def test_names_of_its_own_are_answered_and_others_are_not(api):
    for host, status in (("judge.test", 404), ("judge.test:80", 404), ("evil.test", 403)):
        answer = await api.get("/api/v1/judge/nobody", headers={"host": host})
        assert answer.status_code == status
        assert (await api.get("/healthz", headers={"host": host})).status_code == 200, "whoever asks"


async def test_a_host_that_can_be_none_is_refused(api):
    for hosts in (["judge.test", "judge.test"], ["judge.test,evil.test"], ["judge test"]):
        request = api.build_request("GET", "/healthz", headers=[("host", host) for host in hosts])
        assert (await api.send(request)).status_code == 400


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
ARM = st.fixed_dictionaries({"n": st.integers(0, 10**7) | JSON, "bad": st.integers(0, 10**3) | JSON})
BODY = st.dictionaries(
    st.sampled_from(("settings", "counts", "weight", "seconds", "hardFailure", "evidence", "version")), JSON
) | st.fixed_dictionaries({"stable": ARM | JSON, "candidate": ARM | JSON}, optional={"seconds": JSON})


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(body=BODY | JSON, path=st.sampled_from(("", "/some-id", "/flagger/rollout")))
def test_no_body_makes_it_fail(body, path):
    async def ask():
        transport = httpx.ASGITransport(create_app())
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.post(f"/api/v1/judge{path}", content=json.dumps(body))

    assert asyncio.run(ask()).status_code in (200, 400)
