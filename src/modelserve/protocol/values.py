"""JSON values as clients send them: parsing, picking them apart, and showing them in an error.

A *place* is where a value stands in the body, written as a path: ``inputs[0].shape[1]``.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from typing import Any

import orjson

from modelserve.errors import InvalidInput

SHOWN = 60
"""Characters of a wrong value that an error repeats."""
BOM = b"\xef\xbb\xbf"
"""What .NET and PowerShell write before a text in UTF-8; RFC 8259, 8.1, lets a parser ignore it."""
_UTF_16 = (b"\xff\xfe", b"\xfe\xff", b"{\0", b"\0{")
_SPACE = b" \t\n\f\r"
"""White space that base64 is broken with."""
_FOREIGN = re.compile(r"[^A-Za-z0-9+/= \t\n\f\r]")


def parse(body: bytes | memoryview) -> dict[str, Any]:
    """The JSON object in a request body.

    Raises InvalidInput for an empty body, for what is not JSON (NaN and Infinity are not) or no object.
    """
    if not body:
        raise InvalidInput("body: it is empty; send a JSON object")
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        value = _after_bom(body, error)
    if not isinstance(value, dict):
        raise InvalidInput(f"body: got {shown(value)}; send a JSON object")
    return value


def _after_bom(body: bytes | memoryview, error: orjson.JSONDecodeError) -> Any:
    """What is said behind a byte order mark. Raises InvalidInput where there is none, and for what it is."""
    try:
        if body[: len(BOM)] == BOM:
            return orjson.loads(body[len(BOM) :])
    except orjson.JSONDecodeError as behind:
        error = behind
    raise InvalidInput(f"body: not valid JSON: {error}{_hint(error, body)}") from None


def _hint(error: orjson.JSONDecodeError, body: bytes | memoryview) -> str:
    if body[:2] in _UTF_16:
        return "; it seems to be UTF-16; JSON is UTF-8"
    if "control character" in error.msg:
        return "; a line break in a string is written as \\n"
    unparsed = error.doc[error.pos : error.pos + 9].lstrip("-")
    return "; JSON has no NaN and no Infinity" if unparsed.startswith(("NaN", "Infinity")) else ""


def shown(value: object) -> str:
    """The value as JSON, cut to :data:`SHOWN` characters, for an error message."""
    if isinstance(value, list) and len(value) > SHOWN:
        return f"a list of {len(value)}"
    if isinstance(value, dict) and len(value) > SHOWN:
        return f"an object of {len(value)} fields"
    text = _json(value[: SHOWN + 1] if isinstance(value, str) else value)
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def _json(value: object) -> str:
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # nested deeper than the encoder goes; repr would go deeper still
        return f"a deeply nested {'list' if isinstance(value, list) else 'object'}"


def got(place: str, value: object, wanted: str) -> InvalidInput:
    """The error for a wrong value: where it stands, what it is, what would be right."""
    return InvalidInput(f"{place}: got {shown(value)}; {wanted}")


def listing(names: Iterable[str]) -> str:
    """``"a", "b"``, for an error that tells what there is."""
    return ", ".join(f'"{name}"' for name in names)


def text(value: object, place: str) -> str:
    if not isinstance(value, str):
        raise got(place, value, "send a string")
    return value


def items(value: object, place: str) -> list[Any]:
    """A list with something in it."""
    if not isinstance(value, list) or not value:
        raise got(place, value, "send a list with at least one element")
    return value


def microseconds(value: object, place: str) -> float | None:
    """A time in whole microseconds as seconds; None for 0, which sets no limit. Raises InvalidInput."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise got(place, value, "send whole microseconds")
    return value / 1e6 or None


def b64(value: object, place: str) -> bytes:
    """The bytes of ``{"b64": "..."}``: in the standard alphabet, as TensorFlow Serving takes it, with white
    space or without, padded or not; or such a ``data:`` URL (RFC 2397)."""
    if not isinstance(value, dict) or set(value) != {"b64"}:
        raise got(place, value, 'send {"b64": "<base64>"}')
    encoded = text(value["b64"], f"{place}.b64")
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return _unusual_b64(encoded, f"{place}.b64")


def _unusual_b64(encoded: str, place: str) -> bytes:
    content = _content(encoded, place)
    try:
        plain = content.encode("ascii").translate(None, _SPACE)
        if b"=" not in plain:
            plain += b"=" * (-len(plain) % 4)
        return base64.b64decode(plain, validate=True)
    except (binascii.Error, ValueError) as error:
        why = _foreign(encoded, len(encoded) - len(content)) or error
        raise got(place, encoded, f"send standard base64: {why}") from None


def _foreign(encoded: str, start: int) -> str | None:
    """What is the first character from ``start`` on that is not of the alphabet; one that may be invisible is
    told by its number."""
    if (found := _FOREIGN.search(encoded, start)) is None:
        return None
    if found[0] in "-_":
        return "its alphabet has + and /, not - and _"
    name = shown(found[0]) if "!" <= found[0] <= "~" else f"U+{ord(found[0]):04X}"
    return f"character {found.start()}, {name}, is not of its alphabet"


def _content(encoded: str, place: str) -> str:
    """What follows the head of a ``data:`` URL; all of anything else."""
    if encoded[:5].lower() != "data:":
        return encoded
    head, comma, content = encoded.partition(",")
    if not comma or not head.rstrip().lower().endswith(";base64"):
        raise got(place, encoded, "of data: URLs, send one with ;base64, before its content")
    return content


def as_b64(value: bytes | str) -> dict[str, str]:
    """``{"b64": "..."}`` of the bytes, or of the text in UTF-8."""
    return {"b64": base64.b64encode(value if isinstance(value, bytes) else value.encode()).decode()}
