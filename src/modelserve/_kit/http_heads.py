"""What HTTP wants of a request's head beyond what a parser checks: one Host, and a body that is framed in a
way that is understood (RFC 9112, 3.2 and 6.1)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from http import HTTPStatus

Refusal = tuple[HTTPStatus, str]
"""The status of a refusal, and what is wrong."""
SHOWN = 80
"""Characters of a wrong value that are repeated."""
# A name, an address or one in brackets, and a port. A name might have a comma, but Envoy joins two with one.
_HOST = re.compile(rb"[A-Za-z0-9._~!$&'()*+;=%:\[\]-]*")


def host_trouble(hosts: Sequence[bytes], version: str) -> Refusal | None:
    """Why a request with these values of Host is refused: there must be one, which may be empty.

    ``version`` is that of HTTP; in 1.0 there may be none.
    """
    if len(hosts) > 1:
        return HTTPStatus.BAD_REQUEST, f"host: got {len(hosts)} of them; send one"
    if not hosts:
        missing = HTTPStatus.BAD_REQUEST, "host: is missing; HTTP/1.1 needs it"
        return missing if version == "1.1" else None
    if _HOST.fullmatch(hosts[0]):
        return None
    wanted = "send one name or address, with a port if you like"
    return HTTPStatus.BAD_REQUEST, f"host: got {_shown(hosts[0])}; {wanted}"


def coding_trouble(codings: Sequence[bytes], version: str) -> Refusal | None:
    """Why a request with these values of Transfer-Encoding is refused: chunks are all that is understood."""
    if not codings:
        return None
    if version == "1.0":
        return HTTPStatus.BAD_REQUEST, "transfer-encoding: HTTP/1.0 has none; send content-length"
    told = b", ".join(codings)
    if told.lower() == b"chunked":
        return None
    wanted = "send chunked alone; content-encoding is where a packed body is told"
    return HTTPStatus.NOT_IMPLEMENTED, f"transfer-encoding: got {_shown(told)}; {wanted}"


def _shown(value: bytes) -> str:
    return repr(value[:SHOWN].decode("latin-1"))
