"""Bad input is refused with its own status and words, and harms nobody else.

Everything goes through the real front door to real model servers, while other clients keep asking; none of
them may fail, and no answer may be a 500 or hold a traceback.
"""

from __future__ import annotations

import base64
import gzip
import io
import json
import socket
import struct
import zlib

import httpx
import numpy as np
import pytest
import schemathesis
import tritonclient.http
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode

JSON = {"content-type": "application/json"}
PNG = {"content-type": "image/png"}
START = b"POST /predict/bert-ner HTTP/1.1\r\n"
NER, DIGITS = "/v2/models/bert-ner/infer", "/v2/models/resnet-digits/infer"


@pytest.fixture(scope="module")
def serving(new_platform, tmp_path_factory, models):
    """A platform with both bundled models, and clients that must not notice anything."""
    running = new_platform(tmp_path_factory.mktemp("surface") / "home")
    running.up()
    for name in ("bert-ner", "resnet-digits"):
        running.apply(name, models / f"{name}-1")
    for name in ("bert-ner", "resnet-digits"):
        running.wait_for_ready(name, f"{name}-00001")
    with running.load("resnet-digits", clients=2) as load:
        yield running
    running.cli("down")
    assert load.losses.failed == []
    assert load.losses.answered["resnet-digits-00001"] > 0


@pytest.fixture(scope="module")
def door(serving):
    with httpx.Client(base_url=serving.door, timeout=60, trust_env=False) as client:
        yield client


def refused(answer: httpx.Response, status: int, *words: str) -> None:
    """The answer has this status, the protocol's shape of an error, and words that help."""
    assert answer.status_code == status, answer.text[:500]
    body = answer.json()
    said = str(body["error"])
    assert body["code"]
    assert isinstance(body["retryable"], bool)
    assert "Traceback" not in answer.text
    assert len(answer.text) < 4000
    assert [word for word in words if word not in said] == []


def pixels(data: object, shape: object = (1, 3, 32, 32), datatype: str = "FP32", name: str = "pixel_values"):
    return {"inputs": [{"name": name, "shape": shape, "datatype": datatype, "data": data}]}


def ids(data: list[object], datatype: str = "INT64") -> dict[str, object]:
    shape = [1, len(data)]
    mask = {"name": "attention_mask", "shape": shape, "datatype": "INT64", "data": [1] * len(data)}
    tokens = {"name": "input_ids", "shape": shape, "datatype": datatype, "data": data}
    return {"inputs": [tokens, mask]}


def test_good_input_is_answered(door):
    answer = door.post("/predict/bert-ner", json={"text": "Ada Lovelace met Charles Babbage in London"})
    assert answer.status_code == 200
    assert answer.headers["x-modelserve-revision"] == "bert-ner-00001"
    assert answer.headers["x-request-id"]
    assert door.post(NER, json=ids([2, 5, 3])).status_code == 200
    assert door.post(DIGITS, json=pixels([0.0] * 3072)).status_code == 200


def test_binary_tensors_packed_bodies_and_forms_pass_the_door(serving, door, models):
    image = np.zeros((1, 3, 32, 32), np.float32)
    client = tritonclient.http.InferenceServerClient(serving.door.removeprefix("http://"))
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    tensor = tritonclient.http.InferInput("pixel_values", list(image.shape), "FP32")
    for packed in (None, "gzip"):
        answer = client.infer(
            "resnet-digits", [tensor.set_data_from_numpy(image)], request_compression_algorithm=packed
        )
        assert answer.as_numpy("logits").shape == (1, 10)
    listed = door.get("/v1/models").json()["models"]
    assert sorted(listed) == ["bert-ner", "resnet-digits"]
    form = door.post("/predict/resnet-digits", files={"file": _digit(models)})
    assert len(form.json()["labels"]) == 5
    bomb = gzip.compress(b" " * 50_000_000)
    refused(door.post(NER, content=bomb, headers=JSON | {"content-encoding": "gzip"}), 413, "unpacks")
    binary = {"content-type": "application/octet-stream", "inference-header-content-length": "99"}
    refused(door.post(DIGITS, content=b"{}", headers=binary), 400, "inference-header-content-length")


def test_the_readme_shows_what_is_really_answered(door, models):
    lines = (models.parent / "README.md").read_text().splitlines()
    shown = next(json.loads(line) for line in lines if line.startswith('{"model":"bert-ner"'))
    text = "Ada Lovelace met Charles Babbage in London"
    answered = door.post("/predict/bert-ner", json={"text": text}).json()
    for entity in shown["entities"]:
        entity["score"] = pytest.approx(entity["score"], abs=0.01)
    assert answered == shown


@pytest.mark.parametrize(
    "body", [b"", b"{", b'{"inputs": [', b"nonsense", b"\xff\xfe\x00", b"[]", b"null", b"42"]
)
@pytest.mark.parametrize("path", [NER, DIGITS, "/v1/models/bert-ner:predict", "/predict/bert-ner"])
def test_a_body_that_is_no_request(door, path, body):
    refused(door.post(path, content=body, headers=JSON), 400)


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (pixels([0.0] * 3072, datatype="INT64"), ["pixel_values", "INT64", "FP32"]),
        (pixels([0.0] * 3072, datatype="FLOAT"), ["datatype", "FLOAT"]),
        (pixels([0.0] * 3071), ["3071", "3072"]),
        (pixels([0.0] * 1024, shape=(1, 1, 32, 32)), ["shape", "32"]),
        (pixels([0.0] * 3072, shape=(-1, 3, 32, 32)), ["shape", "-1"]),
        (pixels([0.0] * 3072, shape=(3, 32, 32)), ["shape"]),
        (pixels([0.0] * 3072, shape=(1, 3, 32, 10**12)), ["shape"]),
        (pixels([0.0] * 3072, shape="large"), ["shape", "large"]),
        (pixels(["x"] * 3072), ["data"]),
        (pixels([0.0] * 3072, name="pixels"), ["pixels", "pixel_values"]),
        ({"inputs": []}, ["inputs"]),
        ({"inputs": {}}, ["inputs"]),
        ({"inputs": [{}]}, ["name"]),
        ({}, ["inputs"]),
    ],
)
def test_tensors_that_do_not_fit(door, request_, words):
    refused(door.post(DIGITS, json=request_), 400, *words)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_are_none(door, number):
    body = json.dumps(pixels([0.0] * 3071 + ["?"])).replace('"?"', number)
    refused(door.post(DIGITS, content=body, headers=JSON), 400)


@pytest.mark.parametrize("token", [2**63, -(2**63) - 1, 1.5, "a", None, True, [1]])
def test_integers_that_are_none(door, token):
    refused(door.post(NER, json=ids([2, token, 3])), 400)


def test_a_token_beyond_the_vocabulary_is_not_a_crash(door):
    answer = door.post(NER, json=ids([2, 10**6, 3]))
    assert answer.status_code in (400, 500)
    assert answer.json()["code"] in ("invalid_input", "model_failed")
    assert door.post(NER, json=ids([2, 5, 3])).status_code == 200


def test_a_body_of_100_megabytes(door):
    chunk = b" " * 1_000_000
    refused(door.post(NER, content=(chunk for _ in range(100)), headers=JSON), 413)
    refused(door.post(NER, content=b" " * 100_000_000, headers=JSON), 413)


def test_a_million_characters(door):
    refused(door.post("/predict/bert-ner", json={"text": "Ada " * 250_000}), 400, "128")


@pytest.mark.parametrize("text", [None, 5, [], {}, ["a"]])
def test_a_text_that_is_none(door, text):
    refused(door.post("/predict/bert-ner", json={"text": text}), 400, "text")


@pytest.mark.parametrize("text", ["", " ", "\u0000", "😀", "ا", "\u200b" * 50, "é" * 100, "\ufeff"])
def test_odd_texts_are_answered(door, text):
    answer = door.post("/predict/bert-ner", json={"text": text})
    assert answer.status_code == 200
    for entity in answer.json()["entities"]:
        assert text[entity["start"] : entity["end"]] == entity["text"]


def test_half_a_surrogate(door):
    body = b'{"text": "\\ud83d"}'
    refused(door.post("/predict/bert-ner", content=body, headers=JSON), 400)


def _digit(models) -> bytes:
    row = json.loads((models / "resnet-digits-1" / "reference.jsonl").read_text().splitlines()[0])
    return base64.b64decode(row["image"])


def _bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header says that it is huge."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(b"\0" * 100_000)), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_an_image_that_is_a_bomb(door):
    refused(door.post("/predict/resnet-digits", content=_bomb(60_000, 60_000), headers=PNG), 413)


def test_a_truncated_image(door, models):
    whole = _digit(models)
    for length in (1, 8, 20, len(whole) // 2):
        refused(door.post("/predict/resnet-digits", content=whole[:length], headers=PNG), 400)


def test_a_zip_that_says_it_is_an_image(door):
    import zipfile

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", b"\0" * 10_000_000)
    refused(door.post("/predict/resnet-digits", content=buffer.getvalue(), headers=PNG), 400)


def test_media_that_are_not_taken(door, models):
    refused(
        door.post("/predict/resnet-digits", content=_digit(models), headers={"content-type": "video/mp4"}),
        415,
    )
    refused(
        door.post("/predict/resnet-digits", content=b"II*\0junk", headers={"content-type": "image/tiff"}), 415
    )
    refused(door.post("/predict/bert-ner", content=_digit(models), headers=PNG), 415)


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/v2/models/nothing/infer", "unknown_model"),
        ("/predict/nothing", "unknown_model"),
        ("/v1/models/nothing:predict", "unknown_model"),
        ("/v2/models/bert-ner-2/infer", "unknown_model"),
        ("/v2/models/BERT-NER/infer", "unknown_model"),
        ("/v2/models/bert-ner/versions/bert-ner-00009/infer", "unknown_revision"),
    ],
)
def test_models_and_revisions_that_are_not_there(door, path, code):
    answer = door.post(path, json={"text": "a"})
    refused(answer, 404)
    assert answer.json()["code"] == code


def test_a_revision_that_a_header_asks_for_and_is_not_there(door):
    headers = {"x-modelserve-revision": "bert-ner-00009"}
    answer = door.post("/predict/bert-ner", json={"text": "a"}, headers=headers)
    refused(answer, 404)
    assert answer.json()["code"] == "unknown_revision"


@pytest.mark.parametrize(("method", "path"), [("GET", NER), ("PUT", NER), ("DELETE", "/predict/bert-ner")])
def test_a_method_that_is_not_taken(door, method, path):
    refused(door.request(method, path), 405)


@pytest.mark.parametrize(
    "path",
    [
        "/v2/models/bert-ner/../../api/v1/status",
        "/v2/models/%2e%2e/%2e%2e/internal/figures",
        "/v2/models/bert-ner/%2e%2e/%2e%2e/metrics",
        "/internal/figures",
        "/internal/answers",
        "/metrics",
    ],
)
def test_paths_do_not_reach_what_is_not_for_clients(serving, path):
    """Sent as it stands, which a well-behaved client would not do."""
    status, body = _raw(
        serving.port, f"GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".encode()
    )
    assert status in (200, 400, 404)
    assert b'"arms"' not in body
    assert b"modelserve_requests_total" not in body
    assert (b'"services"' in body) == (path.endswith("/api/v1/status") and status == 200)


@pytest.mark.parametrize(
    "path",
    ["index", "models/bert-ner/load", "models/bert-ner/unload", "../repository/models/bert-ner/unload"],
)
def test_nobody_outside_loads_or_unloads_a_model(serving, path):
    request = f"POST /v2/repository/{path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n"
    status, body = _raw(serving.port, f"{request}connection: close\r\n\r\n".encode())
    assert status == 404
    assert b"x-modelserve-revision" not in body, "no model server was asked"


@pytest.mark.parametrize(
    "request_",
    [
        START + b"host: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        START + b"host: x\r\ncontent-length: -1\r\n\r\n",
        START + b"content-length: 2\r\n\r\n{}",
        START + b"host: x\r\nhost: y\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}",
        START + b"host: x/y\r\ncontent-length: 2\r\n\r\n{}",
        START + b"host: x\r\ntransfer-encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\nlong: " + b"x" * 200_000 + b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"nonsense\r\n\r\n",
    ],
)
def test_bytes_that_are_no_http(serving, request_):
    status, _ = _raw(serving.port, request_)
    assert status in (0, 400, 415, 431, 501)


def _raw(port: int, request: bytes) -> tuple[int, bytes]:
    """Status and everything else; status 0 where the connection was closed without an answer."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        try:
            connection.sendall(request)
            while data := connection.recv(65536):
                received += data
        except ConnectionError:
            pass
    head, _, body = received.partition(b"\r\n")
    return (int(head.split()[1]), body) if head.startswith(b"HTTP/") else (0, received)


def test_headers_that_only_the_proxy_may_set_are_ignored(door):
    headers = {
        "x-modelserve-arm": "candidate",
        "x-modelserve-sample": "1",
        "x-envoy-expected-rq-timeout-ms": "1",
    }
    assert door.post("/predict/bert-ner", json={"text": "Ada"}, headers=headers).status_code == 200


@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize("service", ["bert-ner", "resnet-digits"])
def test_nothing_that_the_schema_allows_or_forbids_makes_a_server_fail(serving, service, mode):
    """By the model server's own OpenAPI document, asked through the front door."""
    (address,) = [r["address"] for r in serving.service(service)["replicas"]]
    document = httpx.get(f"http://{address}/openapi.json", trust_env=False).json()
    document["paths"] = {path: item for path, item in document["paths"].items() if "{" in path}
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=serving.door)
    for result in schema.get_all_operations():
        operation = result.ok()
        _throw_at(operation, service, mode)


def _throw_at(operation, service: str, mode: GenerationMode) -> None:
    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(max_examples=12, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    def never_fails(case):
        for name in case.path_parameters:
            case.path_parameters[name] = service if name != "version" else f"{service}-00001"
        answer = case.call()
        assert answer.status_code not in (500, 502), answer.text

    if mode is GenerationMode.POSITIVE or operation.body:
        never_fails()
