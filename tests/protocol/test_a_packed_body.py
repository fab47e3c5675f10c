"""A packed body is unpacked piece by piece, not far beyond the limit; an answer is packed as it is liked."""

from __future__ import annotations

import gzip
import json
import tracemalloc
import zlib
from collections.abc import Callable

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from modelserve.errors import InvalidInput, PayloadTooLarge, UnsupportedMedia
from modelserve.protocol import packing
from modelserve.protocol.payload import Payload

LIMIT = 4 * 1024 * 1024


def raw_deflate(content: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(content) + packer.flush()


def stream(content: bytes) -> bytes:
    """zstd as it comes from a pipe: without the length of its content."""
    packer = zstandard.ZstdCompressor().compressobj()
    return packer.compress(content) + packer.flush()


Packer = Callable[[bytes], bytes]
PACKERS: list[tuple[str, Packer]] = [
    ("gzip", gzip.compress), ("deflate", zlib.compress), ("deflate", raw_deflate),
    ("zstd", zstandard.compress), ("zstd", stream),
]  # fmt: skip
packers = pytest.mark.parametrize(
    ("encoding", "pack"), PACKERS, ids=lambda value: getattr(value, "__name__", value)
)
CONTENT = json.dumps([n * 0.37 for n in range(150_000)]).encode()


def unpacked(body: bytes, encoding: str, limit: int = LIMIT) -> bytes:
    return b"".join(packing.unpacked(body, encoding, limit))


@packers
def test_content_of_any_size_comes_back(encoding: str, pack: Packer) -> None:
    for content in (b"", b"a", CONTENT[:70_000], CONTENT, b"\0" * LIMIT):
        assert unpacked(pack(content), encoding) == content
    pieces = list(packing.unpacked(pack(CONTENT), encoding, LIMIT))
    assert len(pieces) > 2
    assert all(pieces)


@packers
def test_a_bomb_is_refused_long_before_it_is_unpacked(encoding: str, pack: Packer) -> None:
    bomb = pack(b"\0" * 50_000_000)
    tracemalloc.start()
    with pytest.raises(PayloadTooLarge, match=f"unpacks to more than {LIMIT} bytes"):
        unpacked(bomb, encoding)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * LIMIT


@packers
def test_what_is_cut_short_broken_or_followed_is_refused(encoding: str, pack: Packer) -> None:
    whole = pack(CONTENT)
    with pytest.raises(InvalidInput, match="cut short"):
        unpacked(whole[:-1], encoding)
    with pytest.raises(InvalidInput, match="cut short"):
        unpacked(b"", encoding)
    with pytest.raises(InvalidInput, match=f"5 bytes follow the {encoding} data"):
        unpacked(whole + b"extra", encoding)
    with pytest.raises(InvalidInput, match=f"not valid {encoding}"):
        unpacked(b"\xff" * 100, encoding)


def test_a_zstd_frame_that_asks_for_much_memory_is_refused() -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=27)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    with pytest.raises(InvalidInput, match="too much memory"):
        unpacked(packer.compress(CONTENT) + packer.flush(), "zstd")


@given(st.sampled_from(PACKERS), st.binary(max_size=300), st.integers(0, 400), st.integers(0, 255))
def test_any_bytes_are_unpacked_or_refused(
    packer: tuple[str, Packer], content: bytes, place: int, byte: int
) -> None:
    encoding, pack = packer
    body = bytearray(pack(content))
    body[place % len(body)] = byte
    for sent in (bytes(body), content):
        try:
            assert len(unpacked(sent, encoding, 250)) <= 250
        except (InvalidInput, PayloadTooLarge):
            continue


def test_known_encodings_are_told_to_whoever_sends_another() -> None:
    assert [packing.require(told) for told in ("", "identity", "x-gzip", "zstd")] == ["", "", "gzip", "zstd"]
    for told in ("br", "gzip, gzip", "gzip,"):
        with pytest.raises(UnsupportedMedia, match="send one of gzip, deflate, zstd, or the body as it is"):
            packing.require(told)


def test_without_the_library_zstd_is_refused_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "zstandard", None)
    assert packing.chosen("zstd, gzip;q=0.5") == "gzip"
    with pytest.raises(UnsupportedMedia, match=r"pip install 'modelserve\[zstd\]'"):
        packing.require("zstd")


@pytest.mark.parametrize(
    ("accept", "encoding"),
    [
        ("", ""), ("gzip", "gzip"), ("deflate", "deflate"), ("br", ""), ("identity", ""), ("*", "gzip"),
        ("gzip, deflate", "gzip"), ("GZIP ; q=0.1", "gzip"), ("gzip;q=0", ""), ("gzip;q=0, *;q=0.5", ""),
        ("gzip;q=0.5, deflate;q=0.9", "deflate"), ("gzip;q=0.1, identity;q=0.9", ""), ("gzip;q=nonsense", ""),
        ("gzip;q=nan", ""), (",,;=,q", ""), ("gzip, deflate, br, zstd", "zstd"),
    ],
)  # fmt: skip
def test_the_best_liked_encoding_is_chosen(accept: str, encoding: str) -> None:
    assert packing.chosen(accept) == encoding


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
def test_a_large_answer_is_packed(encoding: str) -> None:
    told = Payload(CONTENT, headers=((b"a", b"b"),))
    packed = packing.packed(told, encoding)
    assert unpacked(packed.body, encoding) == CONTENT
    assert packed.headers == ((b"a", b"b"), (b"content-encoding", encoding.encode()))
    assert packing.packed(told, "br") is told
    small = Payload(CONTENT[:1000])
    assert packing.packed(small, encoding) is small
