"""A client of HTTP comes through the front door of a whole platform: any version, by an address or a name."""

from __future__ import annotations

import asyncio
import http.server
import json
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.http as triton

from tests.serving.wire import Answer, Line, ask

NAME = "digits"
INFER = f"/v2/models/{NAME}/infer"
PIXELS = {"name": "pixel_values", "shape": [1, 3, 32, 32], "datatype": "FP32", "data": [0.5] * 3072}
BODY = json.dumps({"inputs": [PIXELS]}).encode()
ROWS = json.dumps({"instances": np.full((1, 3, 32, 32), 0.5).tolist()}).encode()
CALLS = {
    INFER: BODY,
    f"/v2/models/{NAME}/versions/{NAME}-00001/infer": BODY,
    f"/predict/{NAME}": b'{"image": {"b64": "%b"}}',
    f"/v1/models/{NAME}:predict": b'{"instances": [{"b64": "%b"}]}',
}
READ = (
    "/", "/v2", "/v2/health/live", "/v2/health/ready", f"/v2/models/{NAME}", f"/v2/models/{NAME}/ready",
    f"/v2/models/{NAME}/versions/{NAME}-00001", "/v1/models", f"/v1/models/{NAME}",
)  # fmt: skip
CONTROL = ("/api/v1/status", f"/api/v1/services/{NAME}", "/metrics", "/openapi.json")


@pytest.fixture(scope="module")
def platform(new_platform: Any, models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    running = new_platform(tmp_path_factory.mktemp("clients") / "home")
    running.up()
    running.apply(NAME, models / "resnet-digits-1")
    running.wait_for_ready(NAME, f"{NAME}-00001")
    yield running
    running.cli("down")


@pytest.fixture(scope="module")
def door(platform: Any) -> str:
    found: str = platform.door
    return found


@pytest.fixture(scope="module")
def calls(models: Path) -> dict[str, bytes]:
    """A body for each route that is asked something."""
    row = json.loads((models / "resnet-digits-1" / "reference.jsonl").read_text().splitlines()[0])
    image = row["image"].encode()
    return {path: body.replace(b"%b", image) for path, body in CALLS.items()}


def request(method: str, path: str, *headers: str, body: bytes = b"", version: str = "1.0") -> bytes:
    lines = [f"{method} {path} HTTP/{version}", *headers]
    if body:
        lines += ["content-type: application/json", f"content-length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


HEADS = {
    "nothing more": (),
    "as ab sends it": ("Host: 127.0.0.1:8080", "User-Agent: ApacheBench/2.3", "Accept: */*"),
    "as nginx sends it": ("Host: modelserve_upstream", "Connection: close", "X-Real-IP: 10.0.0.1"),
}


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS.keys())
def test_of_http_1_0(door: str, calls: dict[str, bytes], head: tuple[str, ...]) -> None:
    """`envoyproxy/envoy#18608`, `SigNoz/charts#53`: nginx's proxy_pass and ab speak it by default."""
    for path in READ:
        assert_answered(door, request("GET", path, *head))
    for path, body in calls.items():
        assert_answered(door, request("POST", path, *head, body=body))
    for path in CONTROL:
        if "modelserve_upstream" in " ".join(head):
            assert ask(door, request("GET", path, *head)).status == 403
        else:
            assert_answered(door, request("GET", path, *head))


def assert_answered(door: str, asked: bytes) -> None:
    with Line(door) as line:
        answer = line.send(asked).answer()
        assert answer.status == 200, (asked[:80], answer.content)
        assert answer.content
        assert answer.headers["connection"] == "close"
        assert line.closed()


def test_of_http_1_0_that_keeps_its_connection(door: str, calls: dict[str, bytes]) -> None:
    """``ab -k``."""
    with Line(door) as line:
        for path, body in [*calls.items(), ("/v2/health/live", b""), ("/api/v1/status", b"")]:
            line.send(request("POST" if body else "GET", path, "Connection: keep-alive", body=body))
            answer = line.answer()
            assert (answer.status, answer.headers["connection"].lower()) == (200, "keep-alive"), path
        last = line.send(request("GET", "/v2")).answer()
        assert last.headers["connection"] == "close"
        assert line.closed()


def test_of_http_1_0_is_refused_as_any_other(door: str) -> None:
    refusals = {
        request("GET", "/v2/models/nothing"): 404,
        request("POST", INFER, body=b"{"): 400,
        request("GET", INFER): 405,
        request("GET", "/nothing"): 404,
    }
    for asked, status in refusals.items():
        answer = ask(door, asked)
        assert (answer.status, bool(answer.json["code"])) == (status, True)


def test_of_http_1_0_behind_a_proxy_that_speaks_it(door: str) -> None:
    """A small one that does to a request what nginx's ``proxy_pass`` does."""

    class Passing(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            path = self.path
            answer = ask(door, request("POST", path, "Host: backend", "Connection: close", body=body))
            self.send_response(answer.status)
            self.send_header("content-length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Passing) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        answer = httpx.post(f"http://127.0.0.1:{proxy.server_port}{INFER}", content=BODY)
        proxy.shutdown()
    assert answer.json()["outputs"][0]["shape"] == [1, 10]


def test_by_head(door: str) -> None:
    for path in (*READ, "/api/v1/status", "/metrics", "/v2/models/nothing"):
        with httpx.Client(base_url=door) as client:
            head, got = client.head(path), client.get(path)
        assert (head.status_code, head.content) == (got.status_code, b"")
        assert head.headers["content-length"] == got.headers["content-length"]
        assert head.headers["content-type"] == got.headers["content-type"]
    refused = httpx.head(f"{door}{INFER}")
    assert (refused.status_code, refused.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("host", ["mybox:8080", "models.example", "[2001:db8::1]:80"])
def test_by_a_name(door: str, host: str) -> None:
    """`healthchecks/healthchecks#949`."""
    named = {"Host": host}
    client = triton.InferenceServerClient(door.removeprefix("http://"))
    assert client.is_server_live(headers=named)
    assert client.is_server_ready(headers=named)
    assert client.is_model_ready(NAME, headers=named)
    assert client.get_server_metadata(headers=named)["name"] == "modelserve"
    pixels = triton.InferInput("pixel_values", [1, 3, 32, 32], "FP32")
    pixels.set_data_from_numpy(np.full((1, 3, 32, 32), 0.5, np.float32))
    own = dict(named)  # to which the client adds what is no text
    assert client.infer(NAME, [pixels], headers=own).as_numpy("logits").shape == (1, 10)
    with pytest.raises(triton.InferenceServerException, match="Not Found"):
        client.get_model_repository_index(headers=named)
    for path in READ:
        assert httpx.get(f"{door}{path}", headers=named).status_code == 200
    steering = (("GET", "/api/v1/status"), ("POST", f"/api/v1/services/{NAME}/rollback"))
    for method, path in steering:
        if host.startswith("["):
            assert httpx.request(method, f"{door}{path}", headers=named).status_code != 403
        else:
            assert httpx.request(method, f"{door}{path}", headers=named).status_code == 403


def curl(url: str, *options: str, body: bytes = b"") -> str:
    """The status that curl sees, and the version of HTTP."""
    command = ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code} HTTP/%{http_version}", *options, url]
    done = subprocess.run(command, input=body, capture_output=True, timeout=30, check=True)
    return done.stdout.decode()


@pytest.mark.parametrize(
    ("options", "version"),
    [
        (["--http1.0"], "1"),
        (["--http1.0", "-H", "Host:"], "1"),
        ([], "1.1"),
        (["--http2-prior-knowledge"], "2"),
    ],
)
def test_that_is_curl(door: str, calls: dict[str, bytes], options: list[str], version: str) -> None:
    """HTTP/2 without asking first is for gRPC and for everything else."""
    for path in (*READ, "/api/v1/status"):
        for more in ([], ["-I"]):
            assert curl(door + path, *options, *more) == f"200 HTTP/{version}", path
    for path, body in calls.items():
        sent = ["--data-binary", "@-", "-H", "content-type: application/json"]
        assert curl(door + path, *options, *sent, body=body) == f"200 HTTP/{version}", path


async def test_of_http_1_1_who_waits_to_be_told_to_go_on(door: str) -> None:
    headers = ("Host: a", "Expect: 100-continue")
    whole = request("POST", INFER, *headers, body=BODY, version="1.1")
    with Line(door) as line:
        assert (await asyncio.to_thread(line.send(whole[: -len(BODY)]).answer)).status == 100
        assert (await asyncio.to_thread(line.send(BODY).answer)).status == 200


def test_in_absolute_form(door: str) -> None:
    for host in ("other", "127.0.0.1"):
        asked = request("GET", f"http://127.0.0.1/v2/models/{NAME}", f"Host: {host}", version="1.1")
        assert ask(door, asked).status == 200


def test_whose_time_is_over(door: str) -> None:
    late = {"inputs": [PIXELS], "parameters": {"timeout": 1}}
    answer = httpx.post(f"{door}{INFER}", json=late)
    assert (answer.status_code, answer.json()["code"]) == (504, "deadline_exceeded")


ODD = {
    "a coding that nobody understands": (
        request("POST", INFER, "Host: a", "transfer-encoding: gzip, chunked", version="1.1"), 501
    ),
    "a websocket": (
        request("GET", "/v2", "Host: a", "connection: upgrade", "upgrade: websocket", version="1.1"), 403
    ),
    "two hosts for a model": (request("GET", f"/v2/models/{NAME}", "Host: a", "Host: b", version="1.1"), 400),
    "two hosts for the door": (request("GET", "/v2/health/live", "Host: a", "Host: b", version="1.1"), 400),
    "no host": (request("GET", "/v2/health/live", version="1.1"), 400),
    "a head without end": (request("GET", "/v2", "Host: a", "x: " + "a" * 40_000, version="1.1"), 431),
}  # fmt: skip


def test_that_asks_for_everything_at_once_is_refused_in_json(door: str) -> None:
    answer = ask(door, request("OPTIONS", "*", "Host: a", version="1.1"))
    assert (answer.status, answer.json["code"]) == (404, "not_found")


@pytest.mark.parametrize(("asked", "status"), ODD.values(), ids=ODD.keys())
def test_is_refused_in_json(door: str, asked: bytes, status: int) -> None:
    answer: Answer = ask(door, asked)
    assert (answer.status, answer.json["code"]) == (status, "invalid_input"), answer.content
