"""A model.uri ..."""

import pytest

from modelserve.errors import InvalidSpec
from modelserve.sources import parse_uri
from modelserve.sources.file import local_path

PIN = "a" * 64


@pytest.mark.parametrize(
    ("text", "scheme", "host", "path"),
    [
        ("/models/a#b?c%20", "", "", "/models/a#b?c%20"),
        ("file:///models/x", "file", "", "models/x"),
        ("s3://bucket/a%20b/c", "s3", "bucket", "a b/c"),
        ("https://h.example:8443/x/m.onnx", "https", "h.example:8443", "x/m.onnx"),
        ("hf://org/name@v1", "hf", "org", "name@v1"),
        ("models:/bert-ner@champion", "models", "", "bert-ner@champion"),
    ],
)
def test_is_taken_apart(text, scheme, host, path):
    uri = parse_uri(text)
    assert (uri.scheme, uri.host, uri.path) == (scheme, host, path)


def test_may_pin_the_file_that_it_names():
    uri = parse_uri(f"https://h/m.onnx#sha256={PIN}")
    assert uri.sha256 == PIN
    assert uri.address == "https://h/m.onnx"


@pytest.mark.parametrize("fragment", ["sha256=abc", "md5=00", "x", f"sha256={PIN}&x=1"])
def test_takes_no_other_fragment(fragment):
    with pytest.raises(InvalidSpec, match="sha256= and 64 hexadecimal digits"):
        parse_uri(f"https://h/m.onnx#{fragment}")


@pytest.mark.parametrize(
    "text",
    [
        "https://ada:hunter2@h/m.onnx",
        "s3://AKIA:hunter2@bucket/x",
        "https://h/m.onnx?X-Amz-Signature=hunter2",
        "https://h/m.onnx?token=hunter2",
        "https://h/m.onnx?a=1&access_token=hunter2",
        "https://h/m.onnx?sig=hunter2",
    ],
)
def test_with_a_secret_in_it_is_refused_without_repeating_it(text):
    with pytest.raises(InvalidSpec) as caught:
        parse_uri(text)
    assert "hunter2" not in caught.value.message
    assert "spec.model.uri" in caught.value.message


def test_that_is_a_path_is_taken_as_it_is(tmp_path):
    (tmp_path / "bert#2?%41").mkdir()
    assert local_path(parse_uri(str(tmp_path / "bert#2?%41"))).name == "bert#2?%41"


def test_that_is_a_file_uri_is_decoded(tmp_path):
    (tmp_path / "a b").mkdir()
    assert local_path(parse_uri((tmp_path / "a b").as_uri())) == tmp_path / "a b"


@pytest.mark.parametrize(
    "text",
    [
        "/" + "x" * 300,
        "file://[abc",
        "models/x",
        "/models/../etc/passwd",
        "file:///a/%2e%2e/b",
        "file://elsewhere/x",
        f"file:///tmp#sha256={PIN}",
        "//h/x",
        "/a\0b",
    ],
)
def test_that_leads_nowhere_safe_is_refused(text):
    with pytest.raises(InvalidSpec, match=r"spec\.model\.uri"):
        local_path(parse_uri(text))


@pytest.mark.parametrize(
    "text", ["ftp://h/x", "gopher://h/x", "data://x", "https://h/model.bin", "hf://a/b/c"]
)
def test_of_an_unknown_place_says_what_is_known(here, text):
    with pytest.raises(InvalidSpec, match=r"spec\.model\.uri: got .*: (write|the path must end in)"):
        here.fetch(text)
