"""Who answers, as headers."""

from __future__ import annotations

import string
from urllib.parse import quote

_PLAIN = string.punctuation.replace("%", "") + " "
"""What a header carries as it is, beside letters and digits; the rest of a name is percent-encoded."""


class Identity:
    """``headers`` as ASGI takes them, ``block`` as they stand in a response, ``metadata`` as gRPC does."""

    __slots__ = ("block", "headers", "metadata")

    def __init__(self, service: str, revision: str) -> None:
        self.headers = [
            (b"x-modelserve-service", _in_header(service)),
            (b"x-modelserve-revision", _in_header(revision)),
        ]
        self.block = b"".join(b"%b: %b\r\n" % header for header in self.headers)
        self.metadata = tuple((name.decode(), value.decode()) for name, value in self.headers)


def _in_header(name: str) -> bytes:
    return quote(name, safe=_PLAIN).encode()
