"""What the judge remembers of two count streams, as a text that somebody else keeps and hands back.

A token is the base64 of a checksum and of packed JSON. It is no secret and no proof: whoever forges one
deceives himself. The checksum finds what was cut off or mixed up.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from hashlib import blake2b
from typing import Any

from modelserve.errors import InvalidInput
from modelserve.judge.evidence import Evidence
from modelserve.judge.streams import Course, Terms, begin

VERSION = 1
LONGEST = 64 * 1024
"""Letters of a token."""
_LARGEST = 1024 * 1024
_SUM = 8


def write(terms: Terms, course: Course) -> str:
    document = {
        "version": VERSION,
        "terms": _digest(terms),
        "elapsed": course.elapsed,
        "entered": course.entered,
        "step": course.step,
        "evidence": course.evidence.dump(),
    }
    packed = zlib.compress(json.dumps(document, separators=(",", ":")).encode(), 6)
    return base64.urlsafe_b64encode(_checksum(packed) + packed).decode().rstrip("=")


def read(terms: Terms, token: str) -> Course:
    """Raises InvalidInput for what :func:`write` did not give under ``terms``."""
    document = _document(token)
    if document.get("version") != VERSION:
        raise InvalidInput("evidence: it is of another version of the judge; start anew without evidence")
    if document.get("terms") != _digest(terms):
        raise InvalidInput("evidence: it was gathered under other settings; send those, or start anew")
    try:
        course = Course(
            Evidence.load(document["evidence"]),
            float(document["elapsed"]),
            float(document["entered"]),
            int(document["step"]),
        )
    except (KeyError, TypeError, ValueError, OverflowError):
        raise _damaged() from None
    if not _alike(begin(terms).evidence.dump(), course.evidence.dump()):
        raise _damaged()
    return course


def _document(token: str) -> dict[str, Any]:
    if len(token) > LONGEST:
        raise InvalidInput(f"evidence: got {len(token)} letters; a token has at most {LONGEST}")
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        if _checksum(raw[_SUM:]) != raw[:_SUM]:
            raise _damaged()
        document = json.loads(zlib.decompressobj().decompress(raw[_SUM:], _LARGEST))
    except (binascii.Error, zlib.error, ValueError, RecursionError):
        raise _damaged() from None
    if not isinstance(document, dict):
        raise _damaged()
    return document


def _alike(fresh: Any, given: Any) -> bool:
    """Whether two dumps have the same shape; a list that a fresh one has empty may grow."""
    if isinstance(fresh, dict):
        return fresh.keys() == given.keys() and all(_alike(fresh[key], given[key]) for key in fresh)
    if isinstance(fresh, list) and fresh:
        return len(fresh) == len(given) and all(map(_alike, fresh, given))
    return True


def _digest(terms: Terms) -> str:
    return blake2b(terms.model_dump_json().encode(), digest_size=8).hexdigest()


def _checksum(data: bytes) -> bytes:
    return blake2b(data, digest_size=_SUM).digest()


def _damaged() -> InvalidInput:
    return InvalidInput("evidence: it is no token of this judge, or damaged; send back the whole text")
