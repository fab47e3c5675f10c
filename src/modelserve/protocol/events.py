"""Server-sent events: an answer that comes in pieces, as lines of text that any browser understands.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html.
"""

from __future__ import annotations

CONTENT_TYPE = b"text/event-stream"
HEARTBEAT = b": still working\n\n"
"""A comment, which readers skip: it keeps proxies from closing a connection on which nothing happens."""
FAILED = "error"
"""Name of the event that ends a stream which failed; its data is a fault as in any other answer."""


def event(data: bytes, name: str = "") -> bytes:
    """One event; ``data`` is JSON on one line."""
    head = f"event: {name}\n".encode() if name else b""
    return b"%sdata: %s\n\n" % (head, data)


def wanted(accept: str) -> bool:
    """Whether an ``accept`` header asks for events by name."""
    kinds = (part.partition(";")[0].strip().lower() for part in accept.split(","))
    return CONTENT_TYPE.decode() in kinds
