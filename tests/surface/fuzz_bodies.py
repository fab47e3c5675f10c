"""Mutated request bodies against every decoder: each is read, or refused as the client's fault.

``python -m tests.surface.fuzz_bodies --inputs 1000000`` takes some minutes. The same seed gives the same
inputs; a failure shows the input as a Python literal.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import struct
import sys
import time
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import zstandard

from modelserve.domain.inference import DataType, InferenceResponse, Signature, Tensors, TensorSpec
from modelserve.domain.models import Task
from modelserve.errors import ClientFault
from modelserve.protocol import kserve_v1, oip, packing, tasks, unpacking
from modelserve.protocol.arrays import check_shape

Input = tuple[bytes, str]
"""A body, and the header beside it: the JSON's length, the content type or the encoding."""

TENSORS = {
    datatype: (np.arange(4) % 2).reshape(2, 2).astype(datatype.numpy)
    for datatype in DataType
    if datatype is not DataType.BYTES
} | {DataType.BYTES: np.array([[b"a", b"\xff\0"], [b"", b"longer"]], object)}
SIGNATURE = Signature(tuple(TensorSpec(d.value, d, (-1, -1)) for d in DataType), ())
SOME = Signature(
    (TensorSpec("FP32", DataType.FP32, (-1, 2)), TensorSpec("BYTES", DataType.BYTES, (-1, 2))), ()
)
LARGE = Signature((TensorSpec("FP32", DataType.FP32, (-1, -1)),), ())
TABLE = Signature(
    (
        TensorSpec("age", DataType.FP64, (-1,), nullable=True),
        TensorSpec("income", DataType.FP64, (-1,), nullable=True, optional=True),
        TensorSpec("pair", DataType.FP32, (-1, 2), nullable=True, optional=True),
    ),
    (),
)
"""Columns of which values may be missing, or all."""
LIMIT = 10_000
LONGEST = 1000
"""Letters of an error's message."""


@dataclass(frozen=True)
class Target:
    """A decoder, and inputs that it reads."""

    name: str
    read: Callable[[bytes, str], None]
    seeds: Sequence[Input]


def _binary(names: Sequence[DataType]) -> Input:
    tensors: Tensors = {name.value: TENSORS[name] for name in names}
    call = oip.InferCall({}, (), None, binary_default=True)
    payload = oip.encode(InferenceResponse("m", "m-00001", "r", tensors=tensors), call)
    length = int(dict(payload.headers)[b"inference-header-content-length"])
    told = json.loads(payload.body[:length])
    text = json.dumps({"inputs": told["outputs"], "parameters": {"binary_data_output": True}}).encode()
    return text + payload.body[length:], str(len(text))


def _json(names: Sequence[DataType]) -> Input:
    inputs = [
        {"name": d, "datatype": d, "shape": [2, 2], "data": _listed(d), "parameters": {"x": 1}} for d in names
    ]
    told = {"id": "7", "inputs": inputs, "outputs": [], "parameters": {"timeout": 500}}
    return json.dumps(told).encode(), ""


def _column(name: str, datatype: str, shape: list[int], **content: object) -> dict[str, object]:
    return {"name": name, "datatype": datatype, "shape": shape, **content}


def _table() -> Input:
    """Columns as they are and as vectors, in a datatype of their own, with gaps."""
    age = _column("age", "FP64", [2, 1], data=[1.5, None])
    income = _column("income", "INT64", [2], data=[7, None])
    pair = _column("pair", "FP32", [2, 2], data=[[1, None], [2, 3]])
    return json.dumps({"inputs": [age, income, pair]}).encode(), ""


def _table_in_bytes() -> Input:
    age = _column("age", "FP64", [2, 1], parameters={"binary_data_size": 16})
    income = _column("income", "INT64", [2], parameters={"binary_data_size": 16})
    text = json.dumps({"inputs": [age, income]}).encode()
    return text + np.array([1.5, np.nan]).tobytes() + np.array([7, 8]).tobytes(), str(len(text))


def _large(element: float, rows: int = 1) -> Input:
    """A list that is read in one pass."""
    flat = [element] * 600
    data = flat if rows == 1 else [flat[:300], flat[300:]]
    tensor = {"name": "FP32", "datatype": "FP32", "shape": [rows, 600 // rows], "data": data}
    return json.dumps({"inputs": [tensor]}, separators=(",", ":")).encode(), ""


def _listed(datatype: DataType) -> list[object]:
    if datatype is DataType.BYTES:
        return ["a", "é", "", "longer"]
    listed: list[object] = TENSORS[datatype].tolist()
    return listed


def _infer(signature: Signature) -> Callable[[bytes, str], None]:
    def read(body: bytes, length: str) -> None:
        call = oip.decode(body, signature, length)
        for spec in signature.inputs:
            check_shape(call.tensors[spec.name].shape, spec, spec.name)
            assert call.tensors[spec.name].dtype == spec.datatype.numpy

    return read


def _predict(signature: Signature) -> Callable[[bytes, str], None]:
    def read(body: bytes, _: str) -> None:
        found = kserve_v1.decode_tensors(body, signature).tensors or {}
        for spec in signature.inputs:
            check_shape(found[spec.name].shape, spec, spec.name)
            assert found[spec.name].dtype == spec.datatype.numpy

    return read


def _ask(task: Task) -> Callable[[bytes, str], None]:
    def read(body: bytes, kind: str) -> None:
        assert 1 <= len(tasks.decode(body, kind, task, 4).items) <= 4

    return read


def _unpack(body: bytes, encoding: str) -> None:
    if told := packing.require(encoding):
        assert sum(map(len, unpacking.unpacked(body, told, LIMIT))) <= LIMIT


_FORM = (
    b'--XX\r\nContent-Disposition: form-data; name="text"\r\n\r\na\r\n--XX\r\n'
    b'Content-Disposition: form-data; name="file"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n'
    b"\x89PNG\r\n--X\r\n--XX--\r\n"
)
_KIND = "multipart/form-data; boundary=XX"
_TEXT = b"0.125, " * 1000
_SKIPPED = struct.pack("<II", 0x184D2A50, 4) + b"size"
_TWO = (DataType.FP32, DataType.BYTES)
TARGETS = (
    Target("binary", _infer(SIGNATURE), [_binary(list(DataType)), _binary(list(DataType)[::-1])]),
    Target("binary, two inputs", _infer(SOME), [_binary(_TWO)]),
    Target("json", _infer(SIGNATURE), [_json(list(DataType))]),
    Target("json, two inputs", _infer(SOME), [_json(_TWO)]),
    Target("json, a large list", _infer(LARGE), [_large(0.5), _large(7), _large(0.5, rows=2)]),
    Target("json, a table", _infer(TABLE), [_table()]),
    Target("binary, a table", _infer(TABLE), [_table_in_bytes()]),
    Target(
        "v1, a table",
        _predict(TABLE),
        [
            (b'{"instances": [{"age": 1.5, "income": null}, {"age": 2, "pair": [1, 2.5]}]}', ""),
            (b'{"inputs": {"age": [[1.5], [2]], "income": [true, null], "pair": [[1, null], [2, 3]]}}', ""),
        ],
    ),
    Target(
        "v1",
        _predict(SOME),
        [
            (b'{"instances": [{"FP32": [1, 2.5], "BYTES": ["a", {"b64": "/w=="}]}]}', ""),
            (b'{"inputs": {"FP32": [[1, 2.5]], "BYTES": [["a", {"b64": "/w=="}]]}}', ""),
            (b'\xef\xbb\xbf{"instances": [{"FP32": [1, 2.5], "BYTES": ["a", {"b64": "/w\\r\\n"}]}]}', ""),
        ],
    ),
    Target("text", _ask(Task.TOKEN_CLASSIFICATION), [(b'{"texts": ["a", "\\u00e9"]}', ""), (_FORM, _KIND)]),
    Target(
        "image",
        _ask(Task.IMAGE_CLASSIFICATION),
        [
            (b'{"image": {"b64": "AAAA"}}', ""),
            (b'{"images": [{"b64": "data:image/png;base64,AA\\nAA"}, {"b64": "AA"}]}', ""),
            (_FORM, _KIND),
        ],
    ),
    Target(
        "packed",
        _unpack,
        [
            (gzip.compress(_TEXT), "gzip"),
            (zlib.compress(_TEXT), "deflate"),
            (zlib.compress(_TEXT)[2:-4], "deflate"),
            (zstandard.compress(_TEXT), "zstd"),
            (gzip.compress(_TEXT[:500]) * 3 + b"\0" * 9, "gzip"),
            (_SKIPPED + zstandard.compress(_TEXT[:500]) * 2 + _SKIPPED, "zstd"),
        ],
    ),
)

_NUMBERS = [
    b"-1",
    b"0",
    b"1e9",
    b"true",
    b"null",
    b'"8"',
    b"[]",
    b"{}",
    b"9223372036854775808",
    b"1e400",
    b"NaN",
]
_WORDS = [
    b'"data":[],',
    b'"parameters":{"binary_data_size":4},',
    b"\xff\xff\xff\xff",
    b"\0" * 8,
    b"\r\n--XX\r\n",
]


def _flip(body: bytearray, chance: random.Random) -> None:
    body[chance.randrange(len(body))] ^= 1 << chance.randrange(8)


def _flip_late(body: bytearray, chance: random.Random) -> None:
    """In the last bytes, where the tensors are."""
    body[-1 - chance.randrange(min(len(body), 100))] ^= 1 << chance.randrange(8)


def _overwrite(body: bytearray, chance: random.Random) -> None:
    place = chance.randrange(len(body))
    body[place : place + 4] = struct.pack("<I", chance.choice((0, 1, 255, 2**31, 2**32 - 1, len(body))))


def _cut(body: bytearray, chance: random.Random) -> None:
    place = chance.randrange(len(body))
    del body[place : place + chance.choice((1, 2, 4, 16, len(body)))]


def _double(body: bytearray, chance: random.Random) -> None:
    place = chance.randrange(len(body))
    body[place:place] = body[place : place + chance.choice((1, 2, 4, 16, 64))]


def _insert(body: bytearray, chance: random.Random) -> None:
    place = chance.randrange(len(body))
    body[place:place] = chance.choice(_WORDS)


def _renumber(body: bytearray, chance: random.Random) -> None:
    """Another value in the place of a number in the JSON."""
    digits = [place for place, byte in enumerate(body) if 48 <= byte <= 57]
    if digits:
        place = chance.choice(digits)
        body[place : place + 1] = chance.choice(_NUMBERS)


_MUTATIONS = (_flip, _flip_late, _flip_late, _overwrite, _cut, _double, _insert, _renumber, _renumber)
_HEADERS = (
    "",
    "0",
    "-1",
    "1" * 30,
    "x",
    "99999",
    "br",
    "gzip",
    "zstd",
    "deflate",
    "image/png",
    _KIND,
    "multipart/form-data",
)


def mutated(seed: Input, chance: random.Random) -> Input:
    body, header = bytearray(seed[0]), seed[1]
    for _ in range(chance.choice((1, 1, 2, 3, 8))):
        if body:
            chance.choice(_MUTATIONS)(body, chance)
    luck = chance.random()
    if luck < 0.1:
        header = chance.choice(_HEADERS)
    elif luck < 0.6 and header.isdigit():  # else most inputs would end where the JSON seems to
        header = str(max(0, int(header) + len(body) - len(seed[0])))
    return bytes(body), header


def fuzz(inputs: int, seed: int) -> Counter[str]:
    """Counts of what came of the inputs, by target and error code. Raises on what is no ClientFault."""
    chance, found = random.Random(seed), Counter[str]()
    for number in range(inputs):
        target = TARGETS[number % len(TARGETS)]
        body, header = mutated(chance.choice(target.seeds), chance)
        try:
            target.read(body, header)
            found[f"{target.name}: read"] += 1
        except ClientFault as error:
            found[f"{target.name}: {error.code}"] += 1
            if len(error.message) > LONGEST:
                raise ValueError(
                    f"input {number} of seed {seed}: a message of {len(error.message)}"
                ) from error
        except BaseException:
            print(
                f"input {number} of seed {seed}, {target.name}: body={body!r}, header={header!r}",
                file=sys.stderr,
            )
            raise
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Mutated request bodies against every decoder.")
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    told = parser.parse_args()
    started = time.monotonic()
    found = fuzz(told.inputs, told.seed)
    for name, count in sorted(found.items()):
        print(f"{count:9,}  {name}")
    print(
        f"{told.inputs:,} inputs in {time.monotonic() - started:.0f} s, and nothing but the client's faults"
    )


if __name__ == "__main__":
    main()
