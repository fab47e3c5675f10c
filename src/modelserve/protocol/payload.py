"""What an encoder gives: the bytes of an answer and what its head says about them."""

from __future__ import annotations

from typing import NamedTuple

JSON = b"application/json"


class Payload(NamedTuple):
    """``headers`` go out beside ``content-type`` and ``content-length``."""

    body: bytes
    content_type: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()
