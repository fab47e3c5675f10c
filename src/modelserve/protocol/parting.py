"""What a part of a form says of its own bytes: how they were carried (RFC 2045, 6) and in which charset.

Browsers' forms say neither (RFC 7578, 4.7); those of libraries that grew out of mail do.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import encodings
import pkgutil
import re
from encodings.aliases import aliases

from modelserve.errors import InvalidInput
from modelserve.protocol import values

_PLAIN = ("", "7bit", "8bit", "binary")
_SPACE = b" \t\r\n"
_STRAY = re.compile(rb"=(?![0-9A-Fa-f]{2}|[ \t]*\r?\n)")
"""An equals sign of quoted-printable that stands for no byte and no break of a line."""
_SURROGATE = re.compile("[\ud800-\udfff]")
"""Half of a character, which UTF-7 alone lets through and no tokenizer takes."""
_KNOWN = {*aliases, *(module.name for module in pkgutil.iter_modules(encodings.__path__))}
"""Python keeps each name that it has looked for, found or not: a client must not choose new ones."""
_NOT_OF_TEXTS = {"idna", "punycode", "unicode-escape", "raw-unicode-escape", "undefined"}
"""Python's own, no charsets; the first two take time that grows with the square of the length."""


def carried(content: bytes, encoding: str, place: str) -> bytes:
    """The bytes that were sent as ``content`` with this Content-Transfer-Encoding. Raises InvalidInput."""
    kind = encoding.strip().lower()
    if kind in _PLAIN:
        return content
    if kind == "base64":
        return _base64(content, place)
    if kind == "quoted-printable":
        if (stray := _STRAY.search(content)) is not None:
            told = f"the = at byte {stray.start()} is followed by no two hexadecimal digits"
            raise InvalidInput(
                f"{place}: not the quoted-printable that content-transfer-encoding says: {told}"
            )
        return binascii.a2b_qp(b"\n".join(map(_without_blanks, content.split(b"\n"))))
    wanted = "send binary, 8bit, 7bit, base64 or quoted-printable, or leave it out"
    raise values.got(f"{place}: content-transfer-encoding", encoding, wanted)


def _without_blanks(line: bytes) -> bytes:
    """White space at the end of a line was added on the way (RFC 2045, 6.7, rule 3)."""
    end = b"\r" if line.endswith(b"\r") else b""
    return line.removesuffix(b"\r").rstrip(b" \t") + end


def _base64(content: bytes, place: str) -> bytes:
    try:
        return base64.b64decode(content.translate(None, _SPACE), validate=True)
    except binascii.Error as error:
        told = f"{place}: not the base64 that content-transfer-encoding says"
        raise InvalidInput(f"{told}: {error}") from None


def text(content: bytes, charset: str, place: str) -> str:
    """The text in ``content``, without a byte order mark; UTF-8 without a charset. Raises InvalidInput."""
    codec = _codec(charset, place) if charset else codecs.lookup("utf-8")
    try:
        found, _ = codec.decode(content)
    except UnicodeDecodeError as error:
        what = f"{codec.name}, its charset" if charset else "UTF-8"
        hint = "" if charset else "; name another charset in the part's content-type"
        told = f"{error.reason} at byte {error.start}{hint}"
        raise InvalidInput(f"{place}: the text is not {what}: {told}") from None
    except UnicodeError as error:  # such as UTF-16 without a byte order mark, by some codecs
        raise InvalidInput(f"{place}: the text is not {codec.name}, its charset: {error}") from None
    if codec.name == "utf-7" and _SURROGATE.search(found):
        raise InvalidInput(f"{place}: the text is not {codec.name}, its charset: half of a surrogate pair")
    return found.removeprefix("\ufeff")


def _codec(charset: str, place: str) -> codecs.CodecInfo:
    name = encodings.normalize_encoding(charset).lower() if charset.isascii() else ""
    try:
        codec = codecs.lookup(name) if name in _KNOWN else None
    except LookupError:  # a module that is none, or one of another system
        codec = None
    if codec is None or not codec._is_text_encoding or codec.name in _NOT_OF_TEXTS:
        raise values.got(f"{place}: charset", charset, "send UTF-8, or name a charset such as iso-8859-1")
    return codec
