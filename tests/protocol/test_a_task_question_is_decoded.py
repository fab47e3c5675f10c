"""The task route: texts and images as JSON, as bodies and as forms, right and wrong."""

from __future__ import annotations

import base64
import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelserve.domain.models import Task
from modelserve.errors import InvalidInput, ModelServeError, PayloadTooLarge, UnsupportedMedia
from modelserve.protocol import tasks

TEXT, IMAGE = Task.TOKEN_CLASSIFICATION, Task.IMAGE_CLASSIFICATION
PNG = b"\x89PNG..."
B64 = {"b64": base64.b64encode(PNG).decode()}


def ask(
    body: Any, task: Task = TEXT, content_type: str = "application/json", most: int = 3
) -> tasks.TaskCall:
    return tasks.decode(
        body if isinstance(body, bytes) else json.dumps(body).encode(), content_type, task, most
    )


def test_texts_and_images_come_in_alone_or_in_lists() -> None:
    assert ask({"text": "a"}) == tasks.TaskCall(("a",))
    assert ask({"texts": ["a", "b"]}) == tasks.TaskCall(("a", "b"), several=True)
    assert ask({"image": B64}, IMAGE) == tasks.TaskCall((PNG,))
    assert ask({"images": [B64, B64]}, IMAGE) == tasks.TaskCall((PNG, PNG), several=True)


@pytest.mark.parametrize(
    "kind",
    [
        "image/png", "IMAGE/JPEG", "image/webp; q=1", "application/octet-stream", "image/jpg", "image/pjpeg",
        "image/x-png", "image/*", "image/tiff", "image/svg+xml", " image/unknown ;a=b", "binary/octet-stream",
    ],
)  # fmt: skip
def test_an_image_body_is_taken_as_it_is(kind: str) -> None:
    assert ask(PNG, IMAGE, kind) == tasks.TaskCall((PNG,))


FORM_OF_CURL = "application/x-www-form-urlencoded"


@pytest.mark.parametrize("kind", ["", FORM_OF_CURL])
@pytest.mark.parametrize(
    "image", [b"\x89PNG\r\n\x1a\n\0", b"\xff\xd8\xff\xe0", b"\xff\xd8\xff\xdb", b"RIFF\n\0\0\0WEBPVP8 "]
)
def test_an_image_is_known_by_its_bytes_where_no_content_type_was_chosen(kind: str, image: bytes) -> None:
    assert ask(image, IMAGE, kind) == tasks.TaskCall((image,))
    for told, task in (("application/json", IMAGE), (kind, TEXT)):
        with pytest.raises(InvalidInput, match="body: not valid JSON") as caught:
            ask(image, task, told)
        assert "content-type" not in caught.value.message


@pytest.mark.parametrize("body", [b"GIF89a", b"\x89PNG\x1a", b"RIFF\n\0\0\0WAVE", b"", b"image=a"])
def test_what_may_be_meant_as_an_image_is_refused_with_how_to_send_one(body: bytes) -> None:
    for kind in ("", FORM_OF_CURL):
        with pytest.raises(InvalidInput, match="with its content-type, such as image/png"):
            ask(body, IMAGE, kind)


@pytest.mark.parametrize(
    "kind",
    ["", "application/json; charset=utf-8", "application/ld+json", FORM_OF_CURL],
)
def test_json_is_read_under_these_content_types(kind: str) -> None:
    assert ask({"text": "a"}, content_type=kind).items == ("a",)
    tasks.require_json(kind)


@pytest.mark.parametrize(
    ("body", "task", "kind", "error", "told"),
    [
        (PNG, TEXT, "image/png", UnsupportedMedia, 'content-type: got "image/png"; send {"text"'),
        (PNG, TEXT, "image/jpg", UnsupportedMedia, 'content-type: got "image/jpg"; send {"text"'),
        (b"x", IMAGE, "text/plain", UnsupportedMedia, "content-type"),
        (PNG, IMAGE, "image", UnsupportedMedia, 'content-type: got "image"; send a PNG'),
        (PNG, IMAGE, "video/png", UnsupportedMedia, "content-type"),
        ({"image": B64}, TEXT, "", InvalidInput, 'this model takes {"text"'),
        ({"text": "a"}, IMAGE, "", InvalidInput, "a PNG, JPEG or WebP body"),
        ({"text": "a", "texts": []}, TEXT, "", InvalidInput, "body: got"),
        ({}, TEXT, "", InvalidInput, "body: got {}"),
        ({"text": 7}, TEXT, "", InvalidInput, "text: got 7; send a string"),
        ({"texts": ["a", None]}, TEXT, "", InvalidInput, "texts[1]: got null"),
        ({"texts": []}, TEXT, "", InvalidInput, "texts: got []"),
        ({"texts": "ab"}, TEXT, "", InvalidInput, 'texts: got "ab"'),
        ({"texts": ["a"] * 4}, TEXT, "", PayloadTooLarge, "texts: got 4; at most 3"),
        ({"image": "AAAA"}, IMAGE, "", InvalidInput, "image: got"),
        ({"image": {"b64": "é"}}, IMAGE, "", InvalidInput, "image.b64: got"),
        ({"image": {"b64": "AAAAA"}}, IMAGE, "", InvalidInput, "image.b64: got"),
        ({"image": {"b64": "AA==" * 2}}, IMAGE, "", InvalidInput, "image.b64: got"),
        (
            {"image": {"b64": "\ufeffAAAA"}},
            IMAGE,
            "",
            InvalidInput,
            "character 0, U+FEFF, is not of its",
        ),
        (
            {"image": {"b64": "AAA\u00a0"}},
            IMAGE,
            "",
            InvalidInput,
            "character 3, U+00A0, is not of its",
        ),
        ({"image": {"b64": "AA\0A"}}, IMAGE, "", InvalidInput, "character 2, U+0000, is not of its alphabet"),
        (
            {"image": {"b64": "\uff21AAA"}},
            IMAGE,
            "",
            InvalidInput,
            "character 0, U+FF21, is not of its",
        ),
        ({"image": {"b64": "\U0001f600AAA"}}, IMAGE, "", InvalidInput, "character 0, U+1F600, is not of"),
        ({"image": {"b64": 'AA"A'}}, IMAGE, "", InvalidInput, 'character 2, "\\"", is not of its alphabet'),
        ({"image": {"b64": "data:;base64,AA!A"}}, IMAGE, "", InvalidInput, 'character 15, "!", is not of'),
        ({"image": {"b64": "AA-_"}}, IMAGE, "", InvalidInput, "its alphabet has + and /, not - and _"),
        ({"image": {"b64": "data:image/png,AAAA"}}, IMAGE, "", InvalidInput, "send one with ;base64"),
        ({"image": {"b64": "data:AAAA"}}, IMAGE, "", InvalidInput, "send one with ;base64"),
        ({"image": "data:image/png;base64,AAAA"}, IMAGE, "", InvalidInput, 'send {"b64": "<base64>"}'),
        ({"text": "a"}, Task.TENSOR, "", InvalidInput, "this model takes tensors"),
        (b'{"text": "\\ud800"}', TEXT, "", InvalidInput, "body: not valid JSON"),
    ],
)
def test_a_wrong_question_is_refused(
    body: Any, task: Task, kind: str, error: type[ModelServeError], told: str
) -> None:
    with pytest.raises(error) as caught:
        ask(body, task, kind)
    assert told in caught.value.message


LONG = bytes(range(256))
PLAIN = base64.b64encode(LONG).decode()


@pytest.mark.parametrize(
    "encoded",
    [
        base64.encodebytes(LONG).decode(),
        base64.encodebytes(LONG).decode().replace("\n", "\r\n"),
        PLAIN + "\n",
        f"  {PLAIN[:7]}\t{PLAIN[7:]} \f",
        PLAIN.rstrip("="),
        f"data:image/png;base64,{PLAIN}",
        f"DATA:image/png;name=a.png;Base64,{base64.encodebytes(LONG).decode()}",
        f"data:;base64,{PLAIN}",
    ],
    ids=[
        "lines",
        "lines with CRLF",
        "a newline",
        "blanks",
        "no padding",
        "a data URL",
        "an odd one",
        "a bare one",
    ],
)
def test_base64_is_taken_as_it_is_written(encoded: str) -> None:
    """`tensorflow/serving#1141`, `#1169`: coreutils and MIME break lines, pages of the web send data URLs."""
    assert ask({"image": {"b64": encoded}}, IMAGE) == tasks.TaskCall((LONG,))


def test_a_byte_order_mark_before_the_json_is_passed_over() -> None:
    text = json.dumps({"text": "\ufeffé"}).encode()
    assert ask(b"\xef\xbb\xbf" + text) == tasks.TaskCall(("\ufeffé",))
    for twice in (b"\xef\xbb\xbf" * 2 + text, b"\xef\xbb\xbf" * 100_000, b"\xef\xbb\xbf"):
        with pytest.raises(InvalidInput, match="body: not valid JSON"):
            ask(twice)
    with pytest.raises(InvalidInput, match=r"a line break in a string is written as \\n"):
        ask(b'{"text": "a\nb"}')
    for encoding in ("utf-16", "utf-16-le", "utf-16-be"):
        with pytest.raises(InvalidInput, match="it seems to be UTF-16; JSON is UTF-8"):
            ask(json.dumps({"text": "a"}).encode(encoding))


def test_other_content_types_are_no_json() -> None:
    with pytest.raises(UnsupportedMedia, match="send application/json"):
        tasks.require_json("application/octet-stream")


def form(*given: tuple[str, str | None, bytes]) -> bytes:
    """A form with the boundary ``XX`` of parts as (name, filename or None, content)."""
    body = b""
    for name, filename, content in given:
        told = f'form-data; name="{name}"' + (f'; filename="{filename}"' if filename is not None else "")
        body += f"--XX\r\nContent-Disposition: {told}\r\n\r\n".encode() + content + b"\r\n"
    return body + b"--XX--\r\n"


FORM = "multipart/form-data; boundary=XX"


def test_files_and_fields_of_a_form_are_items() -> None:
    assert ask(form(("file", "a.png", PNG)), IMAGE, FORM) == tasks.TaskCall((PNG,))
    assert ask(form(("whatever", "é.png", PNG)), IMAGE, FORM) == tasks.TaskCall((PNG,))
    two = ask(form(("file", "a.png", PNG), ("file", "b.png", b"\r\n--X")), IMAGE, FORM)
    assert two == tasks.TaskCall((PNG, b"\r\n--X"), several=True)
    assert ask(form(("images", "a.png", PNG)), IMAGE, FORM).several
    assert ask(form(("text", None, "é".encode())), TEXT, FORM) == tasks.TaskCall(("é",))
    assert ask(form(("texts", None, b"a"), ("file", "b.txt", b"b")), TEXT, FORM).items == ("a", "b")
    quoted = 'multipart/form-data; charset=utf-8; boundary="XX"'
    assert ask(form(("text", None, b"a")), TEXT, quoted).items == ("a",)


TWO = form(("text", None, b"a"), ("text", None, b"b"))


@pytest.mark.parametrize(
    "body",
    [
        b"\r\n" + TWO,
        b"This is a message with several parts.\r\n" + TWO,
        b"--X\r\n--XXY\r\n --XX\r\n\r\n" + TWO,
        TWO.replace(b"--XX\r\n", b"--XX \t \r\n"),
        b"one\r\n" + TWO.replace(b"--XX\r\n", b"--XX  \r\n", 1),
        TWO.replace(b"--XX--", b"--XX--  "),
        TWO + b"and what follows\r\n--XX\r\n",
    ],
)
def test_what_stands_around_the_parts_of_a_form_is_nobodys(body: bytes) -> None:
    """RFC 2046, 5.1.1: a preamble, an epilogue, and white space behind each boundary."""
    assert ask(body, TEXT, FORM).items == ("a", "b")


@pytest.mark.parametrize(
    ("body", "kind", "error", "told"),
    [
        (b"one--XX\r\n", FORM, InvalidInput, "not valid multipart/form-data"),
        (b"one\r\n--XX--\r\n", FORM, InvalidInput, "holds no part"),
        (b"one\r\n" + TWO[:-6], FORM, InvalidInput, "cut short"),
        (form(("text", None, b"a")), "multipart/form-data", InvalidInput, "a boundary of 1 to 70"),
        (form(("text", None, b"a")), f"{FORM}{'X' * 99}", InvalidInput, "a boundary of 1 to 70"),
        (form(("text", None, b"a"))[:-6], FORM, InvalidInput, "cut short"),
        (b"", FORM, InvalidInput, "cut short"),
        (b"{}", FORM, InvalidInput, "not valid multipart/form-data"),
        (form(("txt", None, b"a")), FORM, InvalidInput, 'part 0: got "txt"; name it one of "text", "texts"'),
        (form(("text", None, b"\xff")), FORM, InvalidInput, "part 0: the text is not UTF-8"),
        (form(*[("text", None, b"a")] * 4), FORM, PayloadTooLarge, "more than 3 parts"),
        (b"--XX\r\nx: y\r\n\r\na\r\n--XX--\r\n", FORM, InvalidInput, "part 0: it lacks the header"),
        (b"--XX\r\nx: " + b"y" * 5000, FORM, InvalidInput, "not valid multipart/form-data"),
        (b"--XX--\r\n", FORM, InvalidInput, "holds no part"),
    ],
)
def test_a_wrong_form_is_refused(body: bytes, kind: str, error: type[ModelServeError], told: str) -> None:
    with pytest.raises(error) as caught:
        ask(body, TEXT, kind)
    assert told in caught.value.message


def part(headers: str, content: bytes) -> bytes:
    """A form of one field with these headers beside its name."""
    told = f'--XX\r\nContent-Disposition: form-data; name="text"\r\n{headers}\r\n\r\n'
    return told.encode("latin-1") + content + b"\r\n--XX--\r\n"


@pytest.mark.parametrize(
    ("headers", "content"),
    [
        ("Content-Type: text/plain", b"\xef\xbb\xbfK\xc3\xb6ln"),
        ("Content-Type: text/plain; charset=UTF-8", b"\xef\xbb\xbfK\xc3\xb6ln"),
        ("Content-Type: text/plain; charset=ISO-8859-1", b"K\xf6ln"),
        ('Content-Type: text/plain; charset="windows-1252"', b"K\xf6ln"),
        ("Content-Type: text/plain; charset=utf-16", "K\xf6ln".encode("utf-16")),
        ("Content-Type: text/plain; charset=utf-16le", "\ufeffK\xf6ln".encode("utf-16le")),
        ("Content-Transfer-Encoding: 8bit", "K\xf6ln".encode()),
        ("Content-Transfer-Encoding: BASE64", b"S8O2\r\nbG4=\r\n"),
        ("Content-Transfer-Encoding: quoted-printable", b"K=C3=B6=\r\nln"),
        ("Content-Transfer-Encoding: quoted-printable", b"K=C3=B6= \t\r\nln \t"),
        ("Content-Transfer-Encoding: base64\r\nContent-Type: text/plain; charset=latin1", b"S/Zsbg=="),
    ],
)
def test_what_a_part_says_of_its_text_is_followed(headers: str, content: bytes) -> None:
    assert ask(part(headers, content), TEXT, FORM).items == ("K\xf6ln",)


def test_an_image_in_a_form_may_be_carried_as_base64() -> None:
    body = part("Content-Transfer-Encoding: base64", base64.b64encode(PNG)).replace(b'"text"', b'"image"')
    assert ask(body, IMAGE, FORM).items == (PNG,)


@pytest.mark.parametrize(
    ("headers", "content", "told"),
    [
        ("Content-Type: text/plain; charset=klingon", b"a", 'part 0: charset: got "klingon"; send UTF-8'),
        ("Content-Type: text/plain; charset=base64", b"YQ==", 'part 0: charset: got "base64"'),
        ("Content-Type: text/plain; charset=punycode", b"a", 'part 0: charset: got "punycode"'),
        ("Content-Type: text/plain; charset=aliases", b"a", 'part 0: charset: got "aliases"'),
        ("Content-Type: text/plain; charset=\xe9", b"a", "part 0: charset: got"),
        ("Content-Type: text/plain; charset=ascii", b"\xff", "part 0: the text is not ascii, its charset"),
        ("Content-Type: text/plain; charset=utf-16", b"abc", "part 0: the text is not utf-16, its charset"),
        ("Content-Type: text/plain; charset=utf-7", b"+2AA-", "part 0: the text is not utf-7, its charset"),
        ("Content-Transfer-Encoding: base64", b"a!b=", "part 0: not the base64 that content-transfer"),
        ("Content-Transfer-Encoding: quoted-printable", b"a=zz", "the = at byte 1 is followed by no two"),
        ("Content-Transfer-Encoding: x-uuencode", b"a", 'content-transfer-encoding: got "x-uuencode"; send'),
    ],
)
def test_a_part_that_is_not_what_it_says_is_refused(headers: str, content: bytes, told: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        ask(part(headers, content), TEXT, FORM)
    assert told in caught.value.message


@given(st.binary(max_size=200))
def test_any_bytes_as_a_form_are_items_or_refused(body: bytes) -> None:
    with contextlib.suppress(InvalidInput, PayloadTooLarge):
        assert ask(b"--XX\r\n" + body, IMAGE, FORM).items
