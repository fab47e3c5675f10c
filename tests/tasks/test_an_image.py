"""An image that is sent to a classifier ..."""

import io
import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from modelserve.domain.inference import DataType, Label
from modelserve.domain.models import Scores
from modelserve.errors import InvalidInput, ModelFailed, ModelServeError, PayloadTooLarge, UnsupportedMedia
from modelserve.tasks import task_for

pytestmark = pytest.mark.filterwarnings("ignore::Warning:PIL")

RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)
RAW = {"do_rescale": False}
"""Preprocessing that leaves the 0..255 of the image."""


def halves(left, right, mode="RGB", size=(8, 4)):
    """An image of two colours, side by side."""
    image = Image.new(mode, size, left)
    image.paste(right, (size[0] // 2, 0, *size))
    return image


def png_header(width, height):
    """A PNG that claims a size and holds almost nothing."""
    fields = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = b""
    for name, data in ((b"IHDR", fields), (b"IDAT", zlib.compress(b"\0")), (b"IEND", b"")):
        chunks += struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    return b"\x89PNG\r\n\x1a\n" + chunks


@pytest.fixture
def refusal(pixels_of):
    def of(kind, content, **package):
        with pytest.raises(kind) as caught:
            pixels_of(content, **package)
        return caught.value.message

    return of


class TestIsDecoded:
    def test_to_channels_first(self, pixels_of):
        pixels = pixels_of(halves(RED, BLUE), **RAW)
        assert (pixels.shape, pixels.dtype) == ((3, 4, 8), np.float32)
        assert pixels[:, 0, 0].tolist() == [255, 0, 0]
        assert pixels[:, 3, 7].tolist() == [0, 0, 255]

    @pytest.mark.parametrize(
        ("format", "save"),
        [("PNG", {}), ("JPEG", {"quality": 95}), ("WEBP", {}), ("WEBP", {"lossless": True})],
    )
    def test_from_every_format(self, pixels_of, format, save):
        pixels = pixels_of(Image.new("RGB", (16, 16), (10, 200, 60)), format, save, **RAW)
        np.testing.assert_allclose(pixels.mean((1, 2)), [10, 200, 60], atol=3)

    @pytest.mark.parametrize(
        ("image", "expected"),
        [
            (Image.new("L", (2, 2), 77), [77] * 3),
            (Image.new("1", (2, 2), 1), [255] * 3),
            (Image.new("RGB", (2, 2), RED).convert("P"), [255, 0, 0]),
            (Image.new("RGBA", (2, 2), (9, 9, 9, 0)), [255] * 3),
            (Image.new("RGBA", (2, 2), (0, 0, 0, 51)), [204] * 3),
            (Image.new("LA", (2, 2), (0, 255)), [0] * 3),
            (Image.new("I;16", (2, 2), 0x1234), [0x12] * 3),
            (Image.new("I;16", (2, 2), 0xFFFF), [255] * 3),
        ],
        ids=["grey", "bit", "palette", "clear", "alpha", "grey alpha", "16 bits", "16 bits white"],
    )
    def test_from_every_mode(self, pixels_of, image, expected):
        assert pixels_of(image, **RAW)[:, 0, 0].tolist() == expected

    def test_from_cmyk(self, pixels_of):
        pixels = pixels_of(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", **RAW)
        np.testing.assert_allclose(pixels[:, 4, 4], RED, atol=4)

    def test_with_the_clear_colour_of_a_palette_as_white(self, pixels_of):
        image = Image.new("RGB", (2, 2), RED).convert("P")
        assert (
            pixels_of(image, save={"transparency": image.getpixel((0, 0))}, **RAW)[:, 0, 0].tolist()
            == [255] * 3
        )

    def test_as_grey_where_the_model_takes_one_channel(self, pixels_of):
        pixels = pixels_of(Image.new("RGB", (2, 2), WHITE), shape=(-1, 1, -1, -1), **RAW)
        assert pixels.tolist() == [[[255, 255], [255, 255]]]

    @pytest.mark.parametrize(
        ("orientation", "left_top"), [(1, RED), (2, BLUE), (3, BLUE), (6, RED), (8, BLUE)]
    )
    def test_upright(self, pixels_of, orientation, left_top):
        exif = Image.Exif()
        exif[0x0112] = orientation
        pixels = pixels_of(halves(RED, BLUE), save={"exif": exif}, **RAW)
        assert pixels.shape == ((3, 8, 4) if orientation > 4 else (3, 4, 8))
        assert tuple(pixels[:, 0, 0]) == left_top

    def test_to_half_precision_for_a_model_of_that(self, pixels_of):
        assert pixels_of(halves(RED, BLUE), datatype=DataType.FP16).dtype == np.float16


class TestIsRefused:
    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"", "the image is empty: 0 bytes came in"),
            (
                b"no image at all",
                "the 15 bytes, which start with b'no image', are no image; send PNG, JPEG or WebP",
            ),
            (b"\x89PNG\r\n\x1a\n", "the image can't be decoded, it is broken or cut short"),
            (b"RIFF\0\0\0\0WAVEfmt ", "can't be decoded"),
            (b"\xff\xd8\xff\xe0", "can't be decoded"),
            (png_header(4, 4), "can't be decoded"),
        ],
    )
    def test_when_it_is_none(self, refusal, content, said):
        message = refusal(InvalidInput, content)
        assert said in message
        assert "0x" not in message

    def test_as_text(self, image_package):
        with pytest.raises(InvalidInput, match="takes the bytes of a PNG, JPEG or WebP image, not text"):
            task_for(image_package()).prepare("aGVsbG8=")

    @pytest.mark.parametrize("format", ["GIF", "BMP", "TIFF", "ICO"])
    def test_in_another_format(self, refusal, encoded, format):
        message = refusal(UnsupportedMedia, encoded(Image.new("RGB", (16, 16)), format))
        assert "send PNG, JPEG or WebP" in message

    @pytest.mark.parametrize(
        ("content", "what"),
        [(b"\0\0\0\x18ftypheic", "HEIC"), (b"%PDF-1.7", "a PDF"), (b"<svg xmlns=''/>", "an SVG")],
    )
    def test_in_a_format_that_is_none_of_pillows(self, refusal, content, what):
        assert what in refusal(UnsupportedMedia, content)

    @pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
    def test_cut_short(self, refusal, encoded, format):
        noise = np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)
        whole = encoded(Image.fromarray(noise), format)
        for length in (len(whole) // 3, len(whole) // 2, len(whole) * 3 // 4):
            assert "can't be decoded" in refusal(InvalidInput, whole[:length])

    def test_with_more_pixels_than_allowed(self, refusal, encoded):
        content = encoded(Image.new("RGB", (100, 11)))
        message = refusal(PayloadTooLarge, content, max_pixels=1099)
        assert message == "the image has 100 x 11 = 1100 pixels; at most 1099 are decoded: send it smaller"

    @pytest.mark.parametrize("side", [2_000, 12_000, 60_000])
    def test_as_a_bomb_by_its_header_alone(self, refusal, side, monkeypatch):
        monkeypatch.setattr(Image.Image, "load", lambda image: pytest.fail("the pixels were decoded"))
        message = refusal(PayloadTooLarge, png_header(side, side))
        assert "pixels; at most 1000000 are decoded" in message

    def test_as_a_sliver_that_resizing_would_blow_up(self, refusal, encoded):
        content = encoded(Image.new("L", (1, 5_000)))
        message = refusal(PayloadTooLarge, content, size={"shortest_edge": 224})
        assert message.startswith("the image of 1 x 5000 would have 224 x 1120000 pixels after resizing")


class TestIsClassified:
    def test_by_the_likeliest_five(self, image_package):
        task = task_for(image_package(labels=tuple("abcdefg")))
        probabilities = np.array([0.05, 0.3, 0.1, 0.2, 0.05, 0.15, 0.15])
        answer = task.finish({"logits": np.log(probabilities)[None] + 50}, None)
        assert [label.label for label in answer] == list("bdfgc")
        assert [label.score for label in answer] == pytest.approx([0.3, 0.2, 0.15, 0.15, 0.1], rel=1e-5)

    def test_by_all_labels_where_they_are_few(self, image_package):
        answer = task_for(image_package()).finish({"logits": np.array([[0.0, 800.0]])}, None)
        assert answer == (Label("dog", 1.0), Label("cat", 0.0))

    def test_by_labels_that_hold_each_by_itself(self, image_package):
        package = replace(image_package(labels=("cat", "dog", "car")), scores=Scores.SIGMOID)
        answer = task_for(package).finish({"logits": np.array([[5, 5, -5]], np.float32)}, None)
        assert [label.label for label in answer] == ["cat", "dog", "car"]
        assert [label.score for label in answer] == pytest.approx([0.9933, 0.9933, 0.0067], abs=1e-4)

    @pytest.mark.parametrize(("logit", "score"), [(800, 1.0), (-800, 0.0), (0, 0.5)])
    def test_by_a_probability_however_sure_the_model_is(self, image_package, logit, score):
        package = replace(image_package(labels=("cat",)), scores=Scores.SIGMOID)
        answer = task_for(package).finish({"logits": np.array([[logit]], np.float16)}, None)
        assert answer == (Label("cat", score),)

    def test_by_the_values_of_a_regression(self, image_package):
        package = replace(image_package(labels=("age", "height")), scores=Scores.VALUES)
        answer = task_for(package).finish({"logits": np.array([[-3.5, 180.25]])}, None)
        assert answer == (Label("height", 180.25), Label("age", -3.5))

    @pytest.mark.parametrize("scores", list(Scores))
    @pytest.mark.parametrize("logit", [np.nan, np.inf])
    def test_by_no_number_that_is_none(self, image_package, scores, logit):
        package = replace(image_package(), scores=scores)
        with pytest.raises(ModelFailed, match="its logits hold NaN or infinity"):
            task_for(package).finish({"logits": np.array([[1.0, logit]])}, None)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    format=st.sampled_from(["PNG", "JPEG", "WEBP"]),
    hits=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=8),
    cut=st.integers(0, 10_000),
)
def test_of_any_bytes_is_decoded_or_refused_and_never_breaks(image_package, format, hits, cut):
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    halves(RED, BLUE, size=(24, 24)).save(buffer, format, exif=exif)
    content = bytearray(buffer.getvalue())
    for place, value in hits:
        content[place % len(content)] = value
    content = bytes(content[: max(1, len(content) - cut % len(content))]) if cut % 3 == 0 else bytes(content)
    task = task_for(image_package(max_pixels=10_000, size={"height": 4, "width": 4}))
    try:
        shape = task.prepare(content)[0]["pixel_values"].shape
    except ModelServeError as refused:
        assert refused.fault == "client"  # noqa: PT017 - one of two right outcomes
    else:
        assert shape == (1, 3, 4, 4)
