"""Labels are taken: each item gets its answer, and no bad one loses the others."""

import json

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelserve.control.app import create_app
from modelserve.control.label_items import MOST, items_of
from modelserve.domain.labels import Prediction
from modelserve.errors import InvalidInput, NotFound

LINES = {"content-type": "application/jsonl"}


@pytest.fixture
async def api(serving):
    transport = httpx.ASGITransport(create_app(serving.platform))
    made = [Prediction(f"r{n}", "m-00001", "stable", 990.0, 0.0, {"label": "cat"}) for n in range(5)]
    await serving.platform.labels.remember("m", made)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as client:
        yield client


def item(number, **fields):
    return {"request_id": f"r{number}", "service": "m", **(fields or {"label": "cat"})}


async def test_each_as_what_it_is(api):
    await api.post("/api/v1/labels", json=[item(0), item(1)])
    items = [item(0), item(1, label="dog"), item(2), item(9), item(3, label=[]), {"request_id": "r4"}]
    answer = await api.post("/api/v1/labels", json=items)
    told = answer.json()
    assert answer.status_code == 200
    states = ["duplicate", "contradicting", "accepted", "unknown", "unfit", "malformed"]
    assert [each["state"] for each in told["items"]] == states
    assert [told[state] for state in states] == [1] * 6
    assert told["items"][5]["detail"].startswith("service: got None: send the name")


async def test_as_lines_of_which_one_is_bad(api):
    body = f"{json.dumps(item(0))}\n\nno json\n{json.dumps(item(1))}\n"
    told = (await api.post("/api/v1/labels", content=body, headers=LINES)).json()["items"]
    assert [(each["place"], each["state"]) for each in told] == [
        (1, "accepted"),
        (3, "malformed"),
        (4, "accepted"),
    ]
    assert "'no json', which is no JSON" in told[1]["detail"]


async def test_of_a_service_that_is_not_there_one_by_one(api):
    told = (await api.post("/api/v1/labels", json=[item(0), item(1) | {"service": "x"}])).json()["items"]
    assert [each["state"] for each in told] == ["accepted", "malformed"]
    assert told[1]["detail"] == "service: there is no service 'x'; known: m"


async def test_and_summed_up(api, serving):
    await api.post("/api/v1/labels", json=[item(0), item(1, label="dog"), item(9)])
    told = (await api.get("/api/v1/services/m/labels")).json()
    assert (told["guarded"], told["predictions"], told["missed"]) == (False, 5, 0)
    assert told["labels"] == {"accepted": 2, "unknown": 1}
    assert {(r["revision"], r["metric"], r["labels"], r["value"]) for r in told["revisions"]} == {
        ("m-00001", "accuracy", 2, 0.5),
        ("m-00001", "recall(cat)", 1, 1.0),
        ("m-00001", "recall(dog)", 1, 0.0),
    }
    assert (await api.get("/api/v1/services/x/labels")).status_code == 404


async def test_not_of_a_service_that_is_deleted_meanwhile(api, serving):
    await api.delete("/api/v1/services/m")
    told = (await api.post("/api/v1/labels", json=[item(0)])).json()
    assert told["malformed"] == 1
    with pytest.raises(NotFound):
        await serving.platform.labels.remember("m", [Prediction("r1", "m-00001", "stable", 1.0)])


@pytest.mark.parametrize(
    ("body", "headers", "status", "words"),
    [
        (b"[", {"content-type": "application/json"}, 400, "no JSON array"),
        (b"", {"content-type": "application/json"}, 400, "send 1 to 10000"),
        (b"[]", {"content-type": "application/json"}, 400, "got 0"),
        (b"x", {"content-type": "text/csv"}, 415, "got 'text/csv'"),
        (b"[" + b" " * 5_000_000, LINES, 413, "send labels in parts"),
    ],
)
async def test_only_in_a_body_that_can_be_read(api, body, headers, status, words):
    answer = await api.post("/api/v1/labels", content=body, headers=headers)
    assert (answer.status_code, words in answer.json()["detail"]) == (status, True), answer.text


SPAN = {"label": "PER", "start": 0, "end": 3}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"request_id": "a b"}, "request_id: got 'a b': send what the answer's header x-request-id said"),
        ({"request_id": 7}, "request_id: got 7"),
        ({"lable": "x"}, "lable: there is no such field"),
        ({"label": "x", "score": 1}, "got label and score: send one of label, score, correct"),
        ({}, "got no value: send one of"),
        ({"score": 1.5}, "score: got 1.5: send a number from 0 (worst) to 1 (best)"),
        ({"score": True}, "score: got True"),
        ({"correct": "yes"}, "correct: got 'yes': send true or false"),
        ({"label": ""}, "label: got ''"),
        ({"label": "a\0"}, "label: got 'a\\x00'"),
        ({"label": [{"label": "PER"}]}, "label[0]: got {'label': 'PER'}: send"),
        ({"label": [SPAN, SPAN | {"start": 3}]}, "label[1]: got start 3 and end 3"),
        ({"label": [SPAN] * 257}, "label: got 257 entities: send at most 256"),
        ({"label": "x", "time": "soon"}, "time: got 'soon'"),
        ({"label": "x", "time": 1e300}, "time: got 1e+300"),
    ],
)
def test_with_words_that_name_field_value_and_what_would_be_right(fields, words):
    (told,) = items_of(json.dumps([{"request_id": "r", "service": "m", **fields}]).encode(), 1000.0)
    assert words in told.problem
    assert told.label is None


def test_with_entities_in_any_order_and_times_in_words():
    entities = [SPAN, SPAN | {"label": "LOC"}, SPAN]
    (told,) = items_of(json.dumps([item(1, label=entities, time="1970-01-01T00:10:00Z")]).encode(), 1000.0)
    assert told.label.value == {"entities": [["LOC", 0, 3], ["PER", 0, 3]]}
    assert told.label.known == 600.0


def test_at_most_ten_thousand_at_once():
    with pytest.raises(InvalidInput, match="got 10001"):
        items_of(b"{}\n" * (MOST + 1), 0.0)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.dictionaries(
    st.sampled_from(["request_id", "service", "label", "score", "correct", "time", "x"]), VALUES
)


@settings(max_examples=150, deadline=None)
@given(st.lists(FIELDS | VALUES, min_size=1, max_size=4))
def test_whatever_comes_gets_an_answer(told):
    body = json.dumps(told).encode()
    try:
        items = items_of(body, 1000.0)
    except InvalidInput:
        return  # numbers and letters that no JSON parser of ours takes
    assert len(items) == len(told)
    assert all((each.label is None) == bool(each.problem) for each in items)
