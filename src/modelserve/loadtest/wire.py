"""HTTP/1.1 as bytes: requests, and the quick look at an answer that came in one piece."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import orjson


def request(host: str, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """The bytes of one POST."""
    told = {"host": host, **headers, "content-length": str(len(body))}
    lines = (f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in told.items()), "", "")
    return "\r\n".join(lines).encode("latin-1") + body


class Seen(NamedTuple):
    """What is looked at in an answer, as bytes. ``body`` is empty where the status is good."""

    status: bytes
    revision: bytes
    body: bytes
    last: bool
    """The server closes the connection after it."""


def quick(data: bytes) -> Seen | None:
    """A whole answer whose head is spelled as servers mostly do; None: only a parser can tell."""
    end = data.find(b"\r\n\r\n")
    at = data.find(b"\r\ncontent-length: ", 0, end) if end > 0 else -1
    if at < 0 or data[:9] != b"HTTP/1.1 ":
        return None
    length = data[at + 18 : data.find(b"\r", at + 18)]
    if not length.isdigit() or len(data) != end + 4 + int(length):
        return None
    place = data.find(b"\r\nx-modelserve-revision: ", 0, end)
    revision = data[place + 25 : data.find(b"\r", place + 25)] if place >= 0 else b""
    status = data[9:12]
    body = b"" if status == b"200" else data[end + 4 :]
    return Seen(status, revision, body, data.find(b"\r\nconnection: close", 0, end) >= 0)


def code_of(body: bytes) -> str:
    """The stable code in the body of an error; empty where there is none."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ""
    code = found.get("code") if isinstance(found, dict) else None
    return code if isinstance(code, str) else ""
