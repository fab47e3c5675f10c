import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelserve.errors import InvalidSpec
from modelserve.manifest import parse_all
from modelserve.manifest.reading import MAX_TEXT

LAUGHS = "a0: &a0 [lol, lol]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (LAUGHS, "holds more than 10000 values"),
        ("&a [*a]", "more than 10000 values or 32 levels"),
        ("[" * 50_000, "nested deeper than 32 levels"),
        ("{a: " * 20_000, "nested deeper than 32 levels"),
        ("- " * 50_000, "nested deeper than 32 levels"),
        ("x" * (MAX_TEXT + 1), "at most 131072 are read"),
        ("{" + '"a":[' * 20_000, "nested deeper than 32 levels"),
        ("\t{" + '"a":[' * 20_000, "not valid YAML"),
    ],
    ids=["laughs", "cycle", "lists", "mappings", "dashes", "long", "json", "tabbed json"],
)
def test_it_is_refused_soon(text, says):
    began = time.monotonic()

    with pytest.raises(InvalidSpec, match=says):
        parse_all(text, "hostile.yaml")

    assert time.monotonic() - began < 20


WORDS = [
    "metadata",
    "spec",
    "name",
    "model",
    "uri",
    "5%",
    "1s",
    "é",
    "0",
    "~",
    "<<",
    "&a",
    "*a",
    "!",
    "!!str ",
]
SIGNS = [":", ": ", "- ", "{", "}", "[", "]", ",", '"', "'", "%", "|", ">", "#", "?"]
SPACE = [" ", "\n", "  ", "\t", "\x00", "---\n", "...\n"]
PIECES = st.sampled_from([*WORDS, *SIGNS, *SPACE])


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(PIECES, max_size=40).map("".join) | st.text(max_size=60))
def test_any_text_is_read_or_refused(text):
    try:
        parse_all(text, "any.yaml")
    except InvalidSpec as error:
        assert error.message.startswith("any.yaml:")  # noqa: PT017 - reading it is fine, too
