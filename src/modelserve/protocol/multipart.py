"""The parts of a ``multipart/form-data`` body: what a form, ``curl -F`` or ``requests(files=...)`` sends."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from modelserve.errors import InvalidInput, PayloadTooLarge
from modelserve.protocol import parting, values

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

# The library warns of every bad body: the log would be its senders' to fill.
logging.getLogger("python_multipart").setLevel(logging.CRITICAL)

CONTENT_TYPE = "multipart/form-data"
MAX_BOUNDARY = 70
"""Characters, by RFC 2046, 5.1.1."""
MAX_HEADERS, MAX_HEADER_BYTES = 8, 1024
"""Of one part; forms send two headers, the longer with a file's name."""


@dataclass(frozen=True, slots=True)
class Part:
    """``filename`` is None for a part that is a field and not a file; an empty ``charset`` is none told."""

    name: str
    content: bytes
    filename: str | None = None
    charset: str = ""


def parts(body: bytes, content_type: str, most: int) -> list[Part]:
    """All parts in their order, at least one.

    Raises InvalidInput for a body that is none of this kind or cut short, PayloadTooLarge beyond ``most``.
    """
    collector = _Collector(most)
    boundary = _boundary(content_type)
    parser = MultipartParser(
        boundary,
        collector.callbacks(),
        max_header_count=MAX_HEADERS,
        max_header_size=MAX_HEADER_BYTES,
    )
    try:
        parser.write(_begun(body, b"--" + boundary))
    except FormParserError as error:
        raise InvalidInput(f"body: not valid {CONTENT_TYPE}: {error}") from None
    if not collector.complete:
        raise InvalidInput(f"body: the {CONTENT_TYPE} data is cut short: its last boundary is missing")
    if not collector.found:
        raise InvalidInput(f"body: the {CONTENT_TYPE} data holds no part; send at least one")
    return collector.found


def _boundary(content_type: str) -> bytes:
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if not 1 <= len(boundary) <= MAX_BOUNDARY:
        wanted = f"send {CONTENT_TYPE} with a boundary of 1 to {MAX_BOUNDARY} characters"
        raise values.got("content-type", content_type, wanted)
    return boundary


def _begun(body: bytes, line: bytes) -> bytes:
    """From the first boundary on, without the white space behind it: what stands before is nobody's, and both
    may be there (RFC 2046, 5.1.1). The parser takes neither."""
    if body.startswith(line + b"\r\n"):
        return body
    found = re.search(rb"(?:\A|\r\n)%b[ \t]*(?=\r\n|--)" % re.escape(line), body)
    return body if found is None else line + body[found.end() :]


class _Collector:
    """Puts together what the parser calls back with: slices of headers' names, their values and contents."""

    def __init__(self, most: int) -> None:
        self.found: list[Part] = []
        self.complete = False
        self._most = most
        self._headers: dict[bytes, bytes] = {}
        self._name, self._value, self._content = bytearray(), bytearray(), bytearray()

    def callbacks(self) -> MultipartCallbacks:
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._name.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._header,
            "on_part_data": lambda data, start, end: self._content.extend(data[start:end]),
            "on_part_end": self._end,
            "on_end": self._finish,
        }

    def _begin(self) -> None:
        if len(self.found) == self._most:
            raise PayloadTooLarge(f"body: more than {self._most} parts, the most that fit in one request")
        self._headers.clear()
        self._content.clear()

    def _header(self) -> None:
        self._headers[bytes(self._name).lower()] = bytes(self._value)
        self._name.clear()
        self._value.clear()

    def _end(self) -> None:
        place = f"part {len(self.found)}"
        disposition, options = parse_options_header(self._headers.get(b"content-disposition"))
        if disposition != b"form-data" or b"name" not in options:
            raise InvalidInput(f'{place}: it lacks the header Content-Disposition: form-data; name="..."')
        filename = options.get(b"filename")
        named = None if filename is None else filename.decode(errors="replace")
        encoding = self._headers.get(b"content-transfer-encoding", b"").decode("latin-1")
        content = parting.carried(bytes(self._content), encoding, place)
        _, told = parse_options_header(self._headers.get(b"content-type"))
        charset = told.get(b"charset", b"").decode("latin-1")
        self.found.append(Part(options[b"name"].decode(errors="replace"), content, named, charset))

    def _finish(self) -> None:
        self.complete = True
