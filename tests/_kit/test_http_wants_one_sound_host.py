"""HTTP wants one sound Host, and a body that is framed in a way that is understood."""

from __future__ import annotations

import pytest

from modelserve._kit.http_heads import coding_trouble, host_trouble


@pytest.mark.parametrize(
    "host",
    [
        "",
        "m",
        "M.example",
        "127.0.0.1:8080",
        "[::1]",
        "[fe80::1%25en0]:80",
        "a_b",
        "xn--bcher-kva.example.",
        "a:",
    ],
)
def test_one_is_taken(host: str) -> None:
    for version in ("1.0", "1.1"):
        assert host_trouble([host.encode()], version) is None


@pytest.mark.parametrize(
    "host", ["a b", "a/b", "a,b", "u@b", "a?b", "a#b", "a\\b", "<a>", "é", "a\tb", '"a"']
)
def test_one_that_can_be_none_is_told(host: str) -> None:
    trouble = host_trouble([host.encode()], "1.1")
    assert trouble is not None
    assert trouble[0] == 400
    assert "send one name or address" in trouble[1]


def test_a_long_one_is_told_in_short() -> None:
    trouble = host_trouble([b"/" * 60_000], "1.1")
    assert trouble is not None
    assert len(trouble[1]) < 200


def test_none_will_do_in_http_1_0_alone() -> None:
    assert host_trouble([], "1.0") is None
    assert host_trouble([], "1.1") == (400, "host: is missing; HTTP/1.1 needs it")
    for version in ("1.0", "1.1"):
        assert host_trouble([b"a", b"a"], version) == (400, "host: got 2 of them; send one")


def test_chunks_are_all_that_is_understood() -> None:
    assert coding_trouble([], "1.1") is None
    assert coding_trouble([b"CHUNKED"], "1.1") is None
    for codings in ([b"gzip, chunked"], [b"gzip", b"chunked"], [b"br"], [b"chunked", b"chunked"]):
        trouble = coding_trouble(codings, "1.1")
        assert trouble is not None
        assert trouble[0] == 501
    assert coding_trouble([b"chunked"], "1.0") == (
        400, "transfer-encoding: HTTP/1.0 has none; send content-length",
    )  # fmt: skip
