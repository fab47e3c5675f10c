"""The control API answers in plain JSON, and refuses in problem details that say what would be right."""

import json

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode

from modelserve.control.app import MAX_SPEC_BYTES, create_app
from modelserve.control.origin import of_inference
from modelserve.domain.differences import Difference
from modelserve.domain.workloads import ReplicaPhase
from modelserve.observers.differences import Differing

JSON = {"content-type": "application/json"}


@pytest.fixture
async def api(controller):
    transport = httpx.ASGITransport(create_app(controller.platform))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as client:
        yield client


def spec(uri: str, name: str = "m", **changes: object) -> dict:
    return {
        "apiVersion": "modelserve.ai/v1alpha1",
        "kind": "ModelService",
        "metadata": {"name": name},
        "spec": {"model": {"uri": uri}, **changes},
    }


def problem(answer: httpx.Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status
    assert isinstance(body["retryable"], bool)
    return str(body["detail"])


async def test_a_service_is_created_shown_and_deleted(api, controller, packages):
    created = await api.put("/api/v1/services/m", json=spec(str(packages[0])))
    assert created.json()["message"] == "m-00001 is rolled out as the first revision"
    await controller.until("m", "stable")
    shown = (await api.get("/api/v1/services/m")).json()
    assert (shown["stable"], shown["rollout"]["phase"]) == ("m-00001", "stable")
    assert shown["spec"]["spec"]["model"]["uri"] == str(packages[0])
    revisions = (await api.get("/api/v1/services/m/revisions")).json()
    assert [(r["revision"], r["role"]) for r in revisions] == [("m-00001", "stable")]
    assert (await api.get("/v2/health/ready")).json() == {"ready": True}
    controller.launcher.put("m-00001", ReplicaPhase.UNRESPONSIVE)
    await controller.ticks(1)
    assert (await api.get("/v2/health/ready")).status_code == 503
    await api.delete("/api/v1/services/m")
    problem(await api.get("/api/v1/services/m"), 404)


async def test_a_rollout_is_steered_and_its_history_told(api, controller, packages):
    await api.put("/api/v1/services/m", json=spec(str(packages[0])))
    await controller.until("m", "stable")
    await api.put("/api/v1/services/m", json=spec(str(packages[1]), rollout={"shadow": None}))
    await controller.until("m", "canary")
    assert "held" in (await api.post("/api/v1/services/m/rollout/pause")).json()["message"]
    assert "resumed" in (await api.post("/api/v1/services/m/rollout/resume")).json()["message"]
    await api.post("/api/v1/services/m/rollout/abort")
    history = (await api.get("/api/v1/services/m/rollouts")).json()
    assert [t["after"] for t in history[-1]["transitions"]] == ["canary", "held", "canary", "rolled back"]
    assert "over" in problem(await api.post("/api/v1/services/m/rollout/abort"), 409)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"server": {"batching": {"maxsize": 3}}}, ["spec.server.batching.maxsize", "maxSize"]),
        ({"rollout": {"canary": {"steps": ["50%", "5%", "100%"]}}}, ["spec.rollout.canary.steps", "climb"]),
        ({"rollout": {"probation": 30}}, ["spec.rollout.probation", "30", '"30s"']),
        ({"scaling": {"min": 0}}, ["spec.scaling.min", "0"]),
    ],
)
async def test_a_wrong_spec_is_refused_by_field_value_and_fix(api, packages, change, words):
    said = problem(await api.put("/api/v1/services/m", json=spec(str(packages[0]), **change)), 422)
    assert [word for word in words if word not in said] == []


async def test_a_name_that_differs_from_the_path_is_refused(api, packages):
    said = problem(await api.put("/api/v1/services/other", json=spec(str(packages[0]))), 422)
    assert "'m'" in said
    assert "'other'" in said


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"{", JSON, 422),
        (b"\xff\xfe", JSON, 400),
        (b"a: &a [*a]", JSON, 422),
        (b"[]", JSON, 422),
        (b"", JSON, 422),
        (b"x" * (MAX_SPEC_BYTES + 1), JSON, 413),
        (b"{}", {"content-type": "text/plain"}, 415),
        (b"{}", {}, 415),
    ],
)
async def test_a_body_that_is_no_spec_is_refused(api, body, headers, status):
    problem(await api.put("/api/v1/services/m", content=body, headers=headers), status)


@pytest.mark.parametrize(
    "uri",
    ["../x", "/no/such/model", "/tmp/../etc/passwd", "https://host/x", "file:///%00"],
)
async def test_a_uri_that_can_not_be_followed_is_refused(api, uri):
    assert "spec.model.uri" in problem(await api.put("/api/v1/services/m", json=spec(uri)), 422)


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://[::1"},
        {"sec-fetch-site": "cross-site"},
        {"host": "evil.example:8080"},
        {"host": "127.0.0.1.evil.example"},
        {"host": ""},
    ],
)
async def test_a_page_of_another_site_can_change_nothing(api, controller, packages, headers):
    await api.put("/api/v1/services/m", json=spec(str(packages[0])))
    await controller.until("m", "stable")
    refused = await api.post("/api/v1/services/m/rollback", headers=headers)
    assert problem(refused, 403)


OPEN = ["/", "/v1/models", "/v2", "/v2/health/live", "/v2/health/ready"]


@pytest.mark.parametrize("path", OPEN)
async def test_what_the_inference_protocols_ask_is_answered_by_any_name(api, path):
    """`healthchecks/healthchecks#949`: Consul, compose and load balancers ask for health by a name."""
    asked = await api.get(path)
    assert asked.status_code == (503 if path.endswith("ready") else 200)
    for headers in (
        {"host": "mybox:8080"},
        {"host": "models.example", "origin": "https://models.example", "sec-fetch-site": "cross-site"},
        {"host": "[2001:db8::7]:8080"},
        {"host": ""},
    ):
        answer = await api.get(path, headers=headers)
        assert (answer.status_code, answer.content) == (asked.status_code, asked.content)
        assert "access-control-allow-origin" not in answer.headers, "a page elsewhere can't read it"


@pytest.mark.parametrize(
    "path", ["/api/v1/status", "/api/v1/services/m", "/metrics", "/openapi.json", "/v3", "/x"]
)
async def test_the_rest_is_told_to_no_other_name(api, path):
    assert "call this by an IP address" in problem(await api.get(path, headers={"host": "mybox:8080"}), 403)


@pytest.mark.parametrize("path", ["/v2/repository/index", "/v2/models", "/v1/nothing", "/v2/health/live"])
async def test_a_client_of_an_inference_protocol_is_refused_in_its_own_words(api, path):
    answer = await api.post(path, headers={"host": "mybox:8080"})
    assert answer.status_code == (405 if path in OPEN else 404)
    assert answer.headers["content-type"] == "application/json"
    assert set(answer.json()) == {"error", "code", "retryable"}


def test_only_the_control_api_changes_anything(empty_platform):
    """For what lies elsewhere is open to pages of other sites."""
    document = create_app(empty_platform).openapi()["paths"]
    changing = [path for path, told in document.items() if set(told) - {"get"}]
    assert len(changing) >= 10
    assert {path for path in changing if not path.startswith("/api/v1/")} == set()
    assert not [path for path in document if of_inference(path) and path not in OPEN], "they are read here"


@pytest.mark.parametrize(
    "hosts", [["127.0.0.1", "127.0.0.1"], ["127.0.0.1", "evil.example"], ["a b"], ["localhost,evil"], ["a/b"]]
)
@pytest.mark.parametrize("path", ["/v2/health/live", "/api/v1/status"])
async def test_a_host_that_can_be_none_is_refused(api, path, hosts):
    """RFC 9112, 3.2; the proxy joins two with a comma."""
    request = api.build_request("GET", path, headers=[("host", host) for host in hosts])
    answer = await api.send(request)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input")


BOM = b"\xef\xbb\xbf"


@pytest.mark.parametrize("media", ["application/json", "application/yaml"])
async def test_a_byte_order_mark_before_a_spec_is_passed_over(api, packages, media):
    body = BOM + json.dumps(spec(str(packages[0]))).encode()
    answer = await api.put("/api/v1/services/m", content=body, headers={"content-type": media})
    assert answer.status_code == 200, answer.text


COUNTS = '{"stable": {"n": 9, "bad": 1}, "candidate": {"n": 9, "bad": 1}}'


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("labels", '[{"request_id": "r", "service": "m", "label": "x"}]', '"unknown":1'),
        ("labels", '{"request_id": "r", "service": "m", "label": "x"}', '"unknown":1'),
        ("judge", COUNTS, '"decision":"continue"'),
        ("judge/mine", COUNTS, '"decision":"continue"'),
        ("registry/models/m/versions", '{"uri": "/nowhere"}', "/nowhere"),
    ],
)
async def test_a_byte_order_mark_before_other_bodies_too(serving, path, body, said):
    transport = httpx.ASGITransport(create_app(serving.platform))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as client:
        answer = await client.post(f"/api/v1/{path}", content=BOM + body.encode(), headers=JSON)
    assert said in answer.text


async def test_a_page_of_its_own_may_change_things(api):
    own = {"origin": "http://127.0.0.1:8080", "sec-fetch-site": "same-origin"}
    problem(await api.post("/api/v1/services/m/rollback", headers=own), 404)


async def test_what_is_not_there_is_said_to_be_not_there(api):
    assert "none yet" in problem(await api.post("/api/v1/services/x/rollback"), 404)
    problem(await api.get("/api/v1/nothing"), 404)
    problem(await api.patch("/api/v1/services/x"), 405)
    assert "fly" in problem(await api.post("/api/v1/services/x/rollout/fly"), 422)


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_nothing_that_the_schema_allows_or_forbids_makes_it_fail(empty_platform, mode):
    app = create_app(empty_platform)
    schema = schemathesis.openapi.from_asgi("/openapi.json", app, headers={"host": "localhost"})
    operations = [result.ok() for result in schema.get_all_operations()]
    assert len(operations) >= 10
    for operation in operations:
        if mode is GenerationMode.NEGATIVE and not (operation.path_parameters or operation.body):
            continue  # nothing that could be wrong

        @given(case=operation.as_strategy(generation_mode=mode))
        @settings(max_examples=15, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        def never_fails(case):
            assert case.call(headers={"host": "localhost"}).status_code not in (500, 403)

        never_fails()


async def test_what_the_versions_differ_in_is_shown_and_forgotten_with_the_service(api, serving, packages):
    path = "/api/v1/services/m/shadow/diff"
    await serving.apply(packages[1])
    candidate = serving.platform.book.service("m").rollout.candidate
    answers = [{"kind": "labels", "items": [label], "scores": [0.9]} for label in ("7", "1")]
    asked = {"kind": "texts", "items": ["which digit?"]}
    one = Differing("r", 1.0, Difference({"label": 1}, 0.95), False, asked, *answers, 200)
    serving.platform.differences.keep("m", candidate, [one])
    body = (await api.get(path)).json()
    assert (body["candidate"], body["inputs"]) == (candidate, False)
    assert body["differences"][0]["input"] == asked
    assert (await api.get(path, params={"kind": "type"})).json()["differences"] == []
    assert "kind" in problem(await api.get(path, params={"kind": "colour"}), 422)
    assert "limit" in problem(await api.get(path, params={"limit": 0}), 422)
    assert (await api.delete("/api/v1/services/m")).status_code == 200
    problem(await api.get(path), 404)
    assert serving.platform.differences.of("m", candidate, 10) == []
