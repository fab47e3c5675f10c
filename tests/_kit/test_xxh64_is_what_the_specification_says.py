"""Published values; that Envoy computes the same is shown where a real Envoy routes."""

import pytest

from modelserve._kit.xxh64 import xxh64

KNOWN = {
    b"": 0xEF46DB3751D8E999,
    b"a": 0xD24EC4F1A98C6E5B,
    b"abc": 0x44BC2CF5AD770999,
    b"xxhash": 0x32DD38952C4BC720,
    b"Nobody inspects the spammish repetition": 0xFBCEA83C8A378BF1,
}


@pytest.mark.parametrize("text", KNOWN)
def test_a_published_value_comes_out(text):
    assert xxh64(text) == KNOWN[text]
