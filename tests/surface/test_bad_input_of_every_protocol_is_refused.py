"""Bad input in each protocol of a model server is refused with its own status, never as a defect of ours."""

from __future__ import annotations

import gzip
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
import zstandard
from tritonclient.grpc import service_pb2 as messages

from tests.serving.conftest import processes
from tests.serving.wire import INFER, ask, body, post

METHOD = "/inference.GRPCInferenceService/ModelInfer"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, double_model: Path) -> Iterator[Any]:
    for start in processes(tmp_path_factory.mktemp("server")):
        found = start(double_model, threads=1, grpc_port=0)
        found.ready()
        yield found
        told = [event["event"] for event in found.events() if event["level"] == "error"]
        assert told in ([], ["request_failed"]), "no defect but an answer that was not a number"
        assert ask(found.url(), post(body(1, 2))).doubled == [2.0, 4.0]


def binary(told: dict[str, Any] | bytes, data: bytes, length: str | None = None) -> httpx.Request:
    head = told if isinstance(told, bytes) else json.dumps(told).encode()
    headers = {"inference-header-content-length": length or str(len(head))}
    return httpx.Request("POST", f"http://m{INFER}", content=head + data, headers=headers)


def x(
    size: object = 8, shape: object = (1, 2), datatype: object = "FP32", name: object = "x"
) -> dict[str, Any]:
    parameters = {"binary_data_size": size}
    return {"inputs": [{"name": name, "shape": shape, "datatype": datatype, "parameters": parameters}]}


EIGHT = bytes(8)
BINARY = {
    "no bytes": binary(x(), b""),
    "cut off": binary(x(), bytes(7)),
    "more than told": binary(x(), bytes(9)),
    "a size of two": binary(x(2), EIGHT),
    "a negative size": binary(x(-8), EIGHT),
    "a huge size": binary(x(2**63), EIGHT),
    "a size that is text": binary(x("8"), EIGHT),
    "a size that is true": binary(x(True), EIGHT),
    "a fraction": binary(x(8.5), EIGHT),
    "another shape": binary(x(shape=(2, 2)), EIGHT),
    "a shape that overflows": binary(x(shape=(2**62, 2**62)), EIGHT),
    "a negative shape": binary(x(shape=(-1, -2)), EIGHT),
    "a shape that is none": binary(x(shape="1,2"), EIGHT),
    "no rows": binary(x(0, (0, 2)), b""),
    "another datatype": binary(x(datatype="INT64"), EIGHT),
    "no datatype": binary(x(datatype="FP31"), EIGHT),
    "another name": binary(x(name="z"), EIGHT),
    "a name that is none": binary(x(name=[1]), EIGHT),
    "no JSON": binary(b"\xff" * 20, EIGHT),
    "JSON that is cut off": binary(b'{"inputs": [', EIGHT),
    "JSON that is deep": binary(b"[" * 50_000, EIGHT),
    "a time that is negative": binary(x() | {"parameters": {"timeout": -1}}, EIGHT),
    "a time that is a fraction": binary(x() | {"parameters": {"timeout": 0.5}}, EIGHT),
    "a time without end": binary(x() | {"parameters": {"timeout": 10**40}}, EIGHT),
    "a time that is text": binary(x() | {"parameters": {"timeout": "5"}}, EIGHT),
    "a header's length beyond the body": binary(x(), EIGHT, "999999"),
    "a header's length that is none": binary(x(), EIGHT, "-1"),
    "a header's length without end": binary(x(), EIGHT, "9" * 5000),
}


def refused(answer: httpx.Response, *statuses: int) -> None:
    assert answer.status_code in statuses, answer.text[:300]
    assert answer.json()["code"] not in {"internal", "internal_error"}
    assert "Traceback" not in answer.text
    assert len(answer.text) < 4000


def send(server: Any, request: httpx.Request) -> httpx.Response:
    headers = {name: value for name, value in request.headers.items() if name.startswith(("inf", "content-"))}
    return httpx.post(
        f"{server.url()}{request.url.path}", content=request.content, headers=headers, timeout=60
    )


@pytest.mark.parametrize("request_", BINARY.values(), ids=BINARY.keys())
def test_in_binary(server: Any, request_: httpx.Request) -> None:
    refused(send(server, request_), 400)


def test_not_a_number_is_a_number_in_binary_and_has_no_word_in_json(server: Any) -> None:
    nan = b"\0\0\xc0\x7f" * 2
    answer = send(server, binary(x() | {"parameters": {"binary_data_output": True}}, nan))
    assert (answer.status_code, answer.content[-8:]) == (200, nan)
    failed = send(server, binary(x(), nan))
    assert (failed.status_code, failed.json()["code"]) == (500, "model_failed")


BOMB = b'{"inputs": [' + b" " * 200_000_000 + b"]}"
BOMBS = {"gzip": gzip.compress(BOMB, 9), "zstd": zstandard.compress(BOMB, 3)}
PATHS = (INFER, "/v1/models/m:predict", "/predict/m", "/v2/models/m/generate", "/v2/models/m/generate_stream")


@pytest.mark.parametrize("encoding", BOMBS)
@pytest.mark.parametrize("path", PATHS)
def test_a_bomb(server: Any, path: str, encoding: str) -> None:
    url, headers = f"{server.url()}{path}", {"content-encoding": encoding, "content-type": "application/json"}
    refused(httpx.post(url, content=BOMBS[encoding], headers=headers, timeout=60), 413)
    refused(httpx.post(url, content=BOMBS[encoding][:-9], headers=headers, timeout=60), 400, 413)
    refused(httpx.post(url, content=b"no " + encoding.encode(), headers=headers, timeout=60), 400)


PARTED = {
    "gzip, empty members": ("gzip", gzip.compress(b"") * 400_000),
    "gzip, members of a byte": ("gzip", gzip.compress(b" ") * 400_000),
    "gzip, members that are bombs": ("gzip", gzip.compress(b" " * 10_000_000) * 50),
    "zstd, empty frames": ("zstd", zstandard.compress(b"") * 900_000),
    "zstd, frames that are bombs": ("zstd", zstandard.compress(b" " * 10_000_000) * 50),
    "zstd, frames to be skipped": ("zstd", struct.pack("<II", 0x184D2A50, 0) * 900_000),
}


@pytest.mark.parametrize(("encoding", "bomb"), PARTED.values(), ids=PARTED.keys())
def test_a_bomb_in_parts(server: Any, encoding: str, bomb: bytes) -> None:
    headers = {"content-encoding": encoding, "content-type": "application/json"}
    refused(httpx.post(f"{server.url()}/predict/m", content=bomb, headers=headers, timeout=60), 400, 413)
    refused(httpx.post(f"{server.url()}{INFER}", content=bomb, headers=headers, timeout=60), 400, 413)


BODIES = {
    "nothing": b"",
    "a byte order mark alone": b"\xef\xbb\xbf",
    "byte order marks without end": b"\xef\xbb\xbf" * 300_000,
    "UTF-16": '{"instances": [[1, 2]]}'.encode("utf-16"),
    "times that are none": b'{"parameters": {"timeout": -5}, "inputs": [{"name": "x", "shape": [1, 2], '
    b'"datatype": "FP32", "data": [1, 2]}]}',
    "null": b"null",
    "a list": b"[]",
    "an object": b"{}",
    "cut off": b'{"inputs": [{"na',
    "no UTF-8": b"\xff\xfe",
    "NaN": b'{"instances": [[NaN, 1]]}',
    "an infinite number": b'{"instances": [[1e999, 1]]}',
    "ragged": b'{"instances": [[1], [1, 2]]}',
    "deep": b'{"instances": ' + b"[" * 20_000 + b"]" * 20_000 + b"}",
    "a long text": b'{"text": "' + b"a" * 1_000_000 + b'"}',
    "the same key twice": b'{"instances": [], "instances": 5}',
    "a null character": b'{"text": "\\u0000"}',
    "half a pair": b'{"text": "\\ud800"}',
}


@pytest.mark.parametrize("content", BODIES.values(), ids=BODIES.keys())
@pytest.mark.parametrize("path", PATHS)
def test_a_body(server: Any, path: str, content: bytes) -> None:
    headers = {"content-type": "application/json"}
    for accept in ("application/json", "text/event-stream"):
        url = f"{server.url()}{path}"
        refused(httpx.post(url, content=content, headers=headers | {"accept": accept}, timeout=60), 400, 413)


@pytest.mark.parametrize("path", PATHS)
def test_another_model(server: Any, path: str) -> None:
    other = (
        path.replace("/m", "/other", 1) if path == "/predict/m" else path.replace("models/m", "models/other")
    )
    refused(httpx.post(f"{server.url()}{other}", content=b"{}"), 404)


def call(*, raw: bytes | None = None, **changes: Any) -> bytes:
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 2]} | changes.pop("tensor", {})
    asked = messages.ModelInferRequest(**{"model_name": "m"} | changes)
    asked.inputs.add(**tensor)
    if raw is not None:
        asked.raw_input_contents.append(raw)
    return bytes(asked.SerializeToString())


GRPC = {
    "no protobuf": b"\xff" * 50,
    "nothing": b"",
    "cut off": call(raw=EIGHT)[:-3],
    "no contents": call(),
    "too few bytes": call(raw=bytes(7)),
    "too many bytes": call(raw=bytes(9)),
    "an overflowing shape": call(raw=EIGHT, tensor={"shape": [2**62, 2**62]}),
    "a negative shape": call(raw=EIGHT, tensor={"shape": [-1, 2]}),
    "no rows": call(raw=b"", tensor={"shape": [0, 2]}),
    "another datatype": call(raw=EIGHT, tensor={"datatype": "INT64", "shape": [1, 1]}),
    "no datatype": call(raw=EIGHT, tensor={"datatype": "FP31"}),
    "another name": call(raw=EIGHT, tensor={"name": "z"}),
    "another model": call(raw=EIGHT, model_name="other"),
    "another revision": call(raw=EIGHT, model_version="m-00009"),
    "a million rows": call(raw=bytes(8_000_000), tensor={"shape": [1_000_000, 2]}),
}
STATUSES = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND}


def grpc_status(server: Any, asked: bytes, metadata: Any = ()) -> grpc.StatusCode:
    options = [("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(f"127.0.0.1:{server.told['grpc_port']}", options=options) as channel:
        outcome = channel.unary_unary(METHOD).future(asked, timeout=60, metadata=metadata)
        assert "Traceback" not in (outcome.details() or "")
        found: grpc.StatusCode = outcome.code()
        return found


@pytest.mark.parametrize("asked", GRPC.values(), ids=GRPC.keys())
def test_over_grpc(server: Any, asked: bytes) -> None:
    assert grpc_status(server, asked) in STATUSES


def test_a_hundred_megabytes_over_grpc(server: Any) -> None:
    assert grpc_status(server, call(raw=bytes(100_000_000))) is grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize(
    "name", ["content-length", "x-modelserve-timeout-ms", "x-request-id", "x-modelserve-arm"]
)
def test_metadata_that_make_no_sense(server: Any, name: str) -> None:
    good = call(raw=EIGHT)
    for value in ("9" * 5000, "-1", "nan", ""):
        assert grpc_status(server, good, ((name, value),)) is grpc.StatusCode.OK
