"""A packed body is unpacked piece by piece, not far beyond the limit; an answer is packed as it is liked."""

from __future__ import annotations

import gzip
import itertools
import json
import struct
import time
import tracemalloc
import zlib
from collections.abc import Callable

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from modelserve.errors import InvalidInput, PayloadTooLarge, UnsupportedMedia
from modelserve.protocol import faults, packing, unpacking
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
    return b"".join(unpacking.unpacked(body, encoding, limit))


@packers
def test_content_of_any_size_comes_back(encoding: str, pack: Packer) -> None:
    for content in (b"", b"a", CONTENT[:70_000], CONTENT, b"\0" * LIMIT):
        assert unpacked(pack(content), encoding) == content
    pieces = list(unpacking.unpacked(pack(CONTENT), encoding, LIMIT))
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


def padded(content: bytes) -> bytes:
    """gzip as it comes from a tape."""
    return gzip.compress(content) + b"\0" * 1024


def skipped(content: bytes) -> bytes:
    """A zstd frame between two that are to be skipped, as pzstd writes them (RFC 8878, 3.1.2)."""
    skip = struct.pack("<II", 0x184D2A5F, 4) + b"size"
    return skip + zstandard.compress(content) + skip


PARTED: list[tuple[str, Packer]] = [
    ("gzip", gzip.compress), ("gzip", padded), ("zstd", zstandard.compress), ("zstd", stream),
    ("zstd", skipped),
]  # fmt: skip
parted = pytest.mark.parametrize(
    ("encoding", "pack"), PARTED, ids=lambda value: getattr(value, "__name__", value)
)


@parted
def test_parts_are_one_content(encoding: str, pack: Packer) -> None:
    """`curl/curl#22156`, `tower-rs/tower-http#737`: pigz, pzstd and whoever packs chunk by chunk."""
    cuts = [0, 0, 1, 100, 65_536, 65_536, 200_000, len(CONTENT)]
    parts = [CONTENT[start:end] for start, end in itertools.pairwise(cuts)]
    assert b"".join(parts) == CONTENT
    assert unpacked(b"".join(map(pack, parts)), encoding) == CONTENT
    assert unpacked(pack(b"") * 3, encoding) == b""
    small = [CONTENT[start : start + 1000] for start in range(0, len(CONTENT), 1000)]
    assert unpacked(b"".join(map(pack, small)), encoding) == CONTENT
    pieces = list(unpacking.unpacked(b"".join(map(pack, small)), encoding, LIMIT))
    assert min(map(len, pieces[:-1])) >= unpacking.FIRST_PIECE


@parted
def test_the_limit_is_that_of_all_parts(encoding: str, pack: Packer) -> None:
    body = pack(CONTENT[:1000]) * 10
    assert len(unpacked(body, encoding, 10_000)) == 10_000
    with pytest.raises(PayloadTooLarge, match="unpacks to more than 9999 bytes"):
        unpacked(body, encoding, 9999)
    with pytest.raises(PayloadTooLarge, match="unpacks to more than"):
        unpacked(pack(b"\0" * 1_000_000) * 50, encoding)


@parted
def test_a_bomb_of_empty_parts_costs_next_to_nothing(encoding: str, pack: Packer) -> None:
    for content in (b"", b"a"):
        body = pack(content) * 500_000
        started = time.process_time()
        with pytest.raises(PayloadTooLarge, match=f"parts of {encoding}.*; send fewer and larger ones"):
            unpacked(body, encoding)
        assert time.process_time() - started < 0.05


def test_bytes_that_unpack_to_nothing_cost_no_more_than_reading_them() -> None:
    empty_blocks = b"\0\0\0\xff\xff" * 1_000_000
    body = gzip.compress(b"")[:10] + empty_blocks + gzip.compress(b"")[10:]
    started = time.process_time()
    assert unpacked(body, "gzip") == b""
    assert time.process_time() - started < 2


@parted
def test_what_follows_the_last_part_is_refused(encoding: str, pack: Packer) -> None:
    two = pack(CONTENT[:100]) * 2
    for extra in (b"x", b"extra", gzip.compress(b"a")[1:], zlib.compress(b"a")):
        with pytest.raises(InvalidInput, match=f"{len(extra)} bytes follow the {encoding} data"):
            unpacked(two + extra, encoding)
    for cut in (1, 5):
        with pytest.raises(InvalidInput, match=r"cut short|bytes follow"):
            unpacked(two.rstrip(b"\0")[:-cut], encoding)


def test_only_gzip_is_padded_with_zeros() -> None:
    assert unpacked(gzip.compress(b"a") + b"\0" * 100 + gzip.compress(b"b") + b"\0", "gzip") == b"ab"
    for encoding, pack in (("zstd", zstandard.compress), ("deflate", zlib.compress)):
        with pytest.raises(InvalidInput, match=f"2 bytes follow the {encoding} data; send nothing else"):
            unpacked(pack(b"a") + b"\0\0", encoding)


def test_deflate_has_one_part() -> None:
    for pack in (zlib.compress, raw_deflate):
        with pytest.raises(InvalidInput, match="bytes follow the deflate data"):
            unpacked(pack(b"a") * 2, "deflate")


def test_a_zstd_frame_that_asks_for_much_memory_is_refused() -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=27)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    with pytest.raises(InvalidInput, match="too much memory"):
        unpacked(packer.compress(CONTENT) + packer.flush(), "zstd")


@given(st.sampled_from(PACKERS + PARTED), st.binary(max_size=300), st.integers(0, 400), st.integers(0, 255))
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
    for told in ("br", "gzip, gzip", "gzip, deflate", "identity, br", "gzip;q=1"):
        with pytest.raises(
            UnsupportedMedia, match="send one of gzip, deflate, zstd, or the body as it is"
        ) as caught:
            packing.require(told)
        assert faults.headers(caught.value) == ((b"accept-encoding", b"gzip, deflate, zstd"),)


@pytest.mark.parametrize(
    ("told", "encoding"),
    [
        ("gzip, identity", "gzip"), ("identity,gzip", "gzip"), ("gzip,", "gzip"), (", x-gzip", "gzip"),
        ("identity, identity", ""), (",", ""), ("identity , deflate", "deflate"),
    ],
)  # fmt: skip
def test_a_list_of_encodings_is_taken_where_one_does_something(told: str, encoding: str) -> None:
    assert packing.require(told) == encoding


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
