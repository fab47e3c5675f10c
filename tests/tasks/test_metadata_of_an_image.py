"""Metadata of an image ..."""

import io
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from modelserve.errors import InvalidInput, PayloadTooLarge, UnsupportedMedia
from modelserve.tasks.decoding import decode_image, png, webp

pytestmark = pytest.mark.filterwarnings("ignore::Warning:PIL")

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8))
TURNED = np.asarray(PICTURE.transpose(Image.Transpose.ROTATE_270))
MOST = 10_000
TEXT = b"a" * (2 * png.MOST_TEXT)
TWICE_ZIPPED = zlib.compress(bytes(50_000_000))
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
ITXT_XMP = b"XML:com.adobe.xmp\0"


def exif(orientation=6):
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def tiff(orientation=6):
    return exif(orientation).tobytes().removeprefix(b"Exif\0\0")


def encoded(format="PNG", image=PICTURE, **options):
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def chunk(name, data, checksum=None):
    checksum = zlib.crc32(name + data) if checksum is None else checksum
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", checksum)


def with_chunk(chunk, before=b"IDAT", content=None):
    content = content or encoded()
    place = content.index(before) - 4
    return content[:place] + chunk + content[place:]


def segment(marker, data):
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(data) + 2) + data


def with_segment(segment):
    content = encoded("JPEG", quality=95)
    return content[:2] + segment + content[2:]


def riff(name, data, length=None):
    length = len(data) if length is None else length
    return name + struct.pack("<I", length) + data + b"\0" * (len(data) % 2)


def of_riff(*chunks, size=None):
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body) if size is None else size) + body


def riff_chunks(content):
    """Each with its head and padding; the file is whole."""
    position, found = 12, []
    while position < len(content):
        length = int.from_bytes(content[position + 4 : position + 8], "little")
        found.append(content[position : position + 8 + length + length % 2])
        position += len(found[-1])
    return found


def webp_with(**options):
    """The chunks of a WebP with a head that tells of metadata."""
    image = options.pop("image", PICTURE)
    return riff_chunks(encoded("WEBP", image, exif=tiff(), icc_profile=PROFILE, xmp=b"<x/>", **options))


PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def pixels(content):
    return np.asarray(decode_image(content, MOST))


BROKEN_CHUNKS = {
    "EXIF that is no TIFF": chunk(b"eXIf", b"no TIFF"),
    "EXIF that is empty": chunk(b"eXIf", b""),
    "EXIF that ends early": chunk(b"eXIf", tiff()[:12]),
    "EXIF that points nowhere": chunk(b"eXIf", b"MM\0*\xff\xff\xff\xff"),
    "packed text of 2 MB": chunk(b"zTXt", b"workflow\0\0" + zlib.compress(TEXT)),
    "international text of 2 MB": chunk(b"iTXt", b"workflow\0\1\0\0\0" + zlib.compress(TEXT)),
    "plain text of 2 MB": chunk(b"tEXt", b"workflow\0" + TEXT),
    "many texts": chunk(b"zTXt", b"workflow\0\0" + zlib.compress(TEXT[: png.MOST_TEXT])) * 80,
    "packed text that is broken": chunk(b"zTXt", b"workflow\0\0nothing packed"),
    "text packed in an unknown way": chunk(b"zTXt", b"workflow\0\7" + zlib.compress(b"a")),
    "text without a keyword": chunk(b"tEXt", b""),
    "text that is not UTF-8": chunk(b"iTXt", b"key\0\0\0\0\0\xff\xfe"),
    "XMP that is broken": chunk(b"iTXt", ITXT_XMP + b"\1\0\0\0nothing packed"),
    "XMP that is cut": chunk(b"iTXt", ITXT_XMP + b"\1"),
    "EXIF in text that is none": chunk(b"tEXt", b"Raw profile type exif\0\nexif\n9\nno digits"),
    "EXIF in text that is no TIFF": chunk(b"tEXt", b"Raw profile type exif\0\nexif\n2\nffff"),
    "a colour profile that is none": chunk(b"iCCP", b"name\0\0" + zlib.compress(b"no profile")),
    "a colour profile that is not packed": chunk(b"iCCP", b"name\0\0no profile"),
    "a colour profile of 50 MB": chunk(b"iCCP", b"name\0\0" + TWICE_ZIPPED),
    "a colour profile without a name": chunk(b"iCCP", b""),
    "a density that ends early": chunk(b"pHYs", b"\0"),
    "gamma of no length": chunk(b"gAMA", b""),
    "colours of no length": chunk(b"sRGB", b"") + chunk(b"cHRM", b"\0"),
    "an animation without pictures": chunk(b"acTL", bytes(8)),
    "an animation that is broken": chunk(b"acTL", b"\0\0\0\2\0\0\0\0") + chunk(b"fcTL", b"junk"),
    "a picture of an animation that is broken": chunk(b"fdAT", b"\0\0\0\1junk"),
    **{
        f"a wrong checksum of {name} {len(data)}": chunk(name.encode(), data, checksum=1)
        for name, data in (
            ("eXIf", tiff()), ("tEXt", b"a\0b"), ("zTXt", b"a\0\0" + zlib.compress(b"b")), ("pHYs", bytes(9)),
            ("iTXt", b"a\0\0\0\0\0b"), ("iCCP", b"n\0\0" + zlib.compress(b"p")), ("tIME", bytes(7)),
            ("iTXt", ITXT_XMP + b"\0\0\0\0" + XMP), ("sRGB", b"\0"), ("gAMA", bytes(4)),
            ("iDOT", bytes(28)), ("caBX", bytes(40)), ("abCd", b"of nobody's"), ("zzZz", b""),
            ("tRnS", b"\0"),
        )
    },
}  # fmt: skip


SEVERAL = {"save_all": True, "append_images": [PICTURE.rotate(180)]}
CLEAR = Image.fromarray(np.random.default_rng(2).integers(0, 256, (6, 9, 4), np.uint8))
WEBPS = {
    "lossless": {"lossless": True},
    "lossy": {},
    "with transparency": {"image": CLEAR},
    "an animation": {"lossless": True, **SEVERAL},
}


def split_webp(chunks):
    """The head, the profile, what makes up the pixels, EXIF and XMP."""
    head, profile, *picture, exif, xmp = chunks
    assert [part[:4] for part in (head, profile, exif, xmp)] == [b"VP8X", b"ICCP", b"EXIF", b"XMP "]
    return head, profile, b"".join(picture), exif, xmp


def wrong(chunk, length):
    return chunk[:4] + struct.pack("<I", length) + chunk[8:]


BROKEN_WEBP = {
    "EXIF cut short": (lambda h, p, x, e, m: of_riff(h, p, x, e + m)[: -len(m) - 4], True),
    "EXIF cut in its tags": (lambda h, p, x, e, m: of_riff(h, p, x, e + m)[: -len(m) - 20], False),
    "EXIF cut in its head": (lambda h, p, x, e, m: of_riff(h, p, x, e + m)[: -len(m + e) + 5], False),
    "EXIF cut off": (lambda h, p, x, e, m: of_riff(h, p, x, e + m)[: -len(m + e)], False),
    "EXIF too long": (lambda h, p, x, e, m: of_riff(h, p, x, wrong(e, 9999), m), True),
    "EXIF of 4 GB": (lambda h, p, x, e, m: of_riff(h, p, x, wrong(e, 2**32 - 1), m), True),
    "EXIF too short": (lambda h, p, x, e, m: of_riff(h, p, x, wrong(e, 6), m), True),
    "EXIF of no length": (lambda h, p, x, e, m: of_riff(h, p, x, wrong(e, 0), m), True),
    "EXIF that is no TIFF": (lambda h, p, x, e, m: of_riff(h, p, x, riff(b"EXIF", b"no TIFF"), m), False),
    "XMP cut short": (lambda h, p, x, e, m: of_riff(h, p, x, e, m)[:-3], True),
    "XMP too short": (lambda h, p, x, e, m: of_riff(h, p, x, e, riff(b"XMP ", b"<x abcdef/>", 3)), True),
    "XMP before EXIF": (lambda h, p, x, e, m: of_riff(h, p, x, m, e), True),
    "a profile too long": (lambda h, p, x, e, m: of_riff(h, wrong(p, 2**31), x, e, m), True),
    "a profile as long as the file": (lambda h, p, x, e, m: of_riff(h, wrong(p, len(p + x)), x, e, m), True),
    "a profile too short": (lambda h, p, x, e, m: of_riff(h, wrong(p, 100), x, e, m), True),
    "a profile of no length": (lambda h, p, x, e, m: of_riff(h, wrong(p, 0), x, e, m), True),
    "a profile that is none": (lambda h, p, x, e, m: of_riff(h, riff(b"ICCP", b"junk"), x, e, m), True),
    "an unknown chunk": (lambda h, p, x, e, m: of_riff(h, p, x, riff(b"ABCD", b"junk!"), wrong(e, 99)), True),
    "a file too long": (lambda h, p, x, e, m: of_riff(h, p, x, e, m, size=2**31), True),
    "a file too short": (lambda h, p, x, e, m: of_riff(h, p, x, e, m, size=40), True),
    "a file of no length": (lambda h, p, x, e, m: of_riff(h, p, x, e, m, size=0), True),
    "an end in its EXIF": (lambda h, p, x, e, m: of_riff(h, p, x, e, m, size=len(h + p + x) + 20), True),
    "no padding": (lambda h, p, x, e, m: of_riff(h, p, x, e, riff(b"XMP ", b"odd")[:-1]), True),
    "something behind the file": (lambda h, p, x, e, m: of_riff(h, p, x, e, m) + b"\0junk" * 9, True),
}  # fmt: skip


class TestIsNoReasonToRefuse:
    @pytest.mark.parametrize("broken", BROKEN_CHUNKS.values(), ids=BROKEN_CHUNKS)
    @pytest.mark.parametrize("place", [b"IDAT", b"IEND"])
    def test_a_png(self, broken, place):
        found = pixels(with_chunk(broken, place))
        if (
            found.shape == TURNED.shape
        ):  # the checksum alone was wrong: what it says of the orientation counts
            found = np.rot90(found)
        np.testing.assert_array_equal(found, np.asarray(PICTURE))

    @pytest.mark.parametrize(
        "broken",
        [
            segment(0xE0, b"JFIF\0"),
            segment(0xE0, b"JFXX\0\x10junk"),
            segment(0xE1, b"Exif\0\0no TIFF"),
            segment(0xE1, b"Exif\0\0"),
            segment(0xE1, b"Exif\0\0" + tiff()[:14]),
            segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<broken"),
            segment(0xE2, b"ICC_PROFILE\0"),
            segment(0xE2, b"ICC_PROFILE\0\1\2" + b"no profile"),
            segment(0xE2, b"MPF\0no TIFF"),
            segment(0xE2, b"MPF\0MM\0*\0\0\0\x08\0\1\xb0\x01\0\4\0\0\0\1\0\0\0\x09"),
            segment(0xED, b"Photoshop 3.0\x008BIM\x03\xed\0\0\0\0\xff\xff"),
            segment(0xEE, b"Adobe"),
            segment(0xFE, b"\xff\xfe comment"),
            segment(0xEF, b""),
        ],
    )
    def test_a_jpeg(self, broken):
        expected = np.asarray(Image.open(io.BytesIO(encoded("JPEG", quality=95))).convert("RGB"))
        np.testing.assert_array_equal(pixels(with_segment(broken)), expected)

    @pytest.mark.parametrize(
        "options",
        [
            {"exif": b"junk" * 99}, {"exif": b"Exif\0\0MM\0*\xff\xff\xff\xff"},
            {"xmp": b"\xff\0junk"}, {"icc_profile": b"junk"},
        ],
    )  # fmt: skip
    def test_a_webp(self, options):
        content = encoded("WEBP", lossless=True, **options)
        np.testing.assert_array_equal(pixels(content), np.asarray(PICTURE))

    @pytest.mark.parametrize(("changed", "turned"), BROKEN_WEBP.values(), ids=BROKEN_WEBP)
    @pytest.mark.parametrize("kind", WEBPS)
    def test_a_webp_whose_pixels_are_whole(self, kind, changed, turned):
        chunks = webp_with(**WEBPS[kind])
        found = np.asarray(decode_image(of_riff(*chunks), MOST))
        assert found.shape == TURNED.shape
        expected = found if turned else np.rot90(found)
        np.testing.assert_array_equal(pixels(changed(*split_webp(chunks))), expected)

    def test_a_good_file_of_any_kind(self):
        content = encoded(icc_profile=PROFILE, dpi=(72, 72), save_all=True, append_images=[PICTURE])
        np.testing.assert_array_equal(pixels(content), np.asarray(PICTURE))


def made(kind, row, *chunks, depth=8, late=b""):
    """A PNG of two pixels."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 1, depth, kind, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(b"\0" + row)) + late
    return png.SIGNATURE + head + b"".join(chunks) + data + chunk(b"IEND", b"")


GREY, RGB, INDICES = (0, b"\1\2"), (2, b"\1\1\1\2\2\2"), (3, b"\0\1")
TWO_COLOURS = chunk(b"PLTE", b"\1\1\1\2\2\2")


class TestOfTransparency:
    """... counts where libpng heeds it."""

    @pytest.mark.parametrize(
        ("kind", "data"), [(GREY, b"\0\1"), (RGB, b"\0\1\0\1\0\1"), (INDICES, b"\0"), (INDICES, b"\0\xff")]
    )
    def test_of_the_right_length(self, kind, data):
        content = made(
            *kind, TWO_COLOURS if kind is INDICES else b"", chunk(b"tRNS", data), chunk(b"tRNS", b"")
        )
        assert pixels(content).tolist() == [[[255, 255, 255], [2, 2, 2]]]

    @pytest.mark.parametrize(
        ("kind", "data"),
        [
            *((GREY, b"\0\1\0"[:length]) for length in (0, 1, 3)),
            *((RGB, b"\0\1\0\1\0\1\0"[:length]) for length in (0, 2, 5, 7)),
            *((INDICES, b"\0" * length) for length in (0, 3, 256)),
        ],
    )
    @pytest.mark.parametrize("checksum", [None, 1])
    def test_of_a_wrong_length_is_passed_over(self, kind, data, checksum):
        palette = TWO_COLOURS if kind is INDICES else b""
        content = made(*kind, palette, chunk(b"tRNS", data, checksum))
        assert pixels(content).tolist() == [[[1, 1, 1], [2, 2, 2]]]

    def test_in_a_wrong_place_is_passed_over(self):
        told = chunk(b"tRNS", b"\0")
        for content in (made(*INDICES, told, TWO_COLOURS), made(*INDICES, TWO_COLOURS, late=told)):
            assert pixels(content).tolist() == [[[1, 1, 1], [2, 2, 2]]]
        twice = made(*INDICES, TWO_COLOURS, told, chunk(b"tRNS", b"\xff\0"))
        assert pixels(twice).tolist() == [[[255, 255, 255], [2, 2, 2]]]

    def test_of_more_entries_than_a_pixel_can_name_is_passed_over(self):
        palette = chunk(b"PLTE", b"\1\1\1\2\2\2\3\3\3")
        content = made(3, b"\x40", palette, chunk(b"tRNS", b"\0\0\0"), depth=1)
        assert pixels(content).tolist() == [[[1, 1, 1], [2, 2, 2]]]

    def test_beside_pixels_that_have_their_own_is_passed_over(self):
        content = made(6, b"\1\1\1\xff\2\2\2\0", chunk(b"tRNS", b"\0\1\0\1\0\1"))
        assert pixels(content).tolist() == [[[1, 1, 1], [255, 255, 255]]]

    @pytest.mark.parametrize(
        ("depth", "row", "clear", "shown"),
        [
            (1, b"\x40", b"\0\0", [255, 255]),
            (2, b"\x60", b"\0\1", [255, 170]),
            (4, b"\x78", b"\0\7", [255, 136]),
            (8, b"\x64\xc8", b"\0\x64", [255, 200]),
            (16, b"\x80\0\x03\xe8", b"\x80\0", [255, 3]),
            (16, b"\0\0\0\x42", b"\0\0", [255, 0]),
        ],
    )
    def test_of_a_grey_is_told_by_all_bits_of_a_pixel(self, depth, row, clear, shown):
        """PNG, 11.3.2.1."""
        content = made(0, row, chunk(b"tRNS", clear), depth=depth)
        assert pixels(content)[0, :, 0].tolist() == shown
        assert np.asarray(decode_image(content, MOST, "L"))[0].tolist() == shown

    def test_of_a_colour_with_16_bits_is_passed_over(self):
        """Near black would become white: decoders show the upper halves alone."""
        content = made(2, b"\0\x42" * 3 + b"\0\0" * 3, chunk(b"tRNS", bytes(6)), depth=16)
        assert pixels(content).tolist() == [[[0, 0, 0], [0, 0, 0]]]

    @pytest.mark.parametrize("data", [b"", b"\1\1\1\2\2\2", b"\1\2\3\4", bytes(3 * 300)])
    @pytest.mark.parametrize("checksum", [None, 1])
    def test_and_colours_need_no_palette(self, data, checksum):
        proposed = chunk(b"PLTE", data, checksum)
        content = made(*RGB, proposed, chunk(b"tRNS", b"\0\1\0\1\0\1"))
        assert pixels(content).tolist() == [[[255, 255, 255], [2, 2, 2]]]
        content = made(6, b"\1\1\1\xff\2\2\2\0", proposed)
        assert pixels(content).tolist() == [[[1, 1, 1], [255, 255, 255]]]
        with pytest.raises(InvalidInput, match="broken or cut short"):
            pixels(made(*INDICES, chunk(b"PLTE", data, 1)))

    @pytest.mark.parametrize("cut", range(16, 46))
    def test_of_a_file_without_a_head_is_no_image(self, cut):
        with pytest.raises(InvalidInput, match="broken or cut short"):
            pixels((png.SIGNATURE + TWO_COLOURS + chunk(b"tRNS", b"\0"))[:cut])


class TestTellsTheOrientation:
    RAW = b"Raw profile type exif\0"
    HEX = b"\nexif\n%8d\n" % len(tiff()) + tiff().hex().encode() + b"\n"

    @pytest.mark.parametrize(
        "told",
        [
            chunk(b"eXIf", tiff()),
            chunk(b"tEXt", b"Raw profile type exif\0\nexif\n 40\n" + tiff().hex().encode() + b"\n"),
            chunk(b"zTXt", RAW + b"\0" + zlib.compress(HEX)),
            chunk(b"iTXt", RAW + b"\1\0\0\0" + zlib.compress(HEX)),
            chunk(b"iTXt", ITXT_XMP + b"\0\0\0\0" + XMP),
            chunk(b"iTXt", ITXT_XMP + b"\1\0en\0XMP\0" + zlib.compress(XMP)),
            chunk(b"eXIf", b"no TIFF") + chunk(b"iTXt", ITXT_XMP + b"\0\0\0\0" + XMP),
        ],
    )
    @pytest.mark.parametrize("place", [b"IDAT", b"IEND"])
    def test_of_a_png(self, told, place):
        content = with_chunk(told, place)
        np.testing.assert_array_equal(pixels(content), TURNED)

    @pytest.mark.parametrize(
        "told",
        [
            segment(0xE1, b"Exif\0\0" + tiff()),
            segment(0xE1, b"Exif\0\0" + tiff()[:20]) + segment(0xE1, b"Exif\0\0" + tiff()[20:]),
            segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + XMP),
            segment(0xE2, b"ICC_PROFILE\0") + segment(0xE1, b"Exif\0\0" + tiff()),
        ],
    )
    def test_of_a_jpeg(self, told):
        assert pixels(with_segment(told)).shape == TURNED.shape

    @pytest.mark.parametrize("options", [{"exif": exif()}, {"xmp": XMP}, {"exif": b"junk", "xmp": XMP}])
    def test_of_a_webp(self, options):
        np.testing.assert_array_equal(pixels(encoded("WEBP", lossless=True, **options)), TURNED)

    @pytest.mark.parametrize("orientation", [0, 1, 9, 255, 65535])
    def test_only_where_it_is_one(self, orientation):
        content = with_chunk(chunk(b"eXIf", tiff(orientation)))
        np.testing.assert_array_equal(pixels(content), np.asarray(PICTURE))


class TestIsNotInflated:
    BOMB = zlib.compress(bytes(100_000_000))

    def test_where_it_tells_no_orientation(self, monkeypatch):
        monkeypatch.setattr(png.zlib, "decompressobj", lambda: pytest.fail("text was inflated"))
        bombs = (b"zTXt", b"a\0\0"), (b"iTXt", b"a\0\1\0\0\0"), (b"iCCP", b"a\0\0")
        content = with_chunk(b"".join(chunk(name, head + self.BOMB) for name, head in bombs))
        np.testing.assert_array_equal(pixels(content), np.asarray(PICTURE))

    def test_beyond_what_may_tell_the_orientation(self):
        content = with_chunk(chunk(b"iTXt", ITXT_XMP + b"\1\0\0\0" + self.BOMB) * 20)
        tracemalloc.start()
        try:
            pixels(content)
            most = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert most < 8 * png.MOST_TEXT


@pytest.mark.parametrize("told", [b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0", b"other"])
def test_costs_no_more_than_its_length(told):
    """Half a million segments: what copied all before for each would take hours."""
    content = with_segment(segment(0xE1, told + b"a") * 500_000)
    assert pixels(content).shape == np.asarray(PICTURE).shape
    content = with_chunk(chunk(b"iTXt", ITXT_XMP + b"\0\0\0\0a") * 200_000)
    np.testing.assert_array_equal(pixels(content), np.asarray(PICTURE))
    head, profile, picture, *_ = split_webp(webp_with(lossless=True))
    for first, last in ((riff(b"EXIF", told) * 200_000, b""), (b"", riff(b"EXIF", told, 9) * 200_000)):
        found = pixels(of_riff(head, profile, first, picture, last))
        np.testing.assert_array_equal(found, np.asarray(PICTURE))
    with pytest.raises(InvalidInput):
        pixels(of_riff(head, profile, b"VP8 \xff\xff\xff\xff" * 500_000))


@pytest.mark.parametrize("options", [{"lossless": True}, {}, {"image": CLEAR}, SEVERAL])
def test_that_a_webp_lacks_costs_no_copy(options):
    content = encoded("WEBP", **options)
    assert webp.split(content).pixels is content
    with_garbage = content + b"\0junk" * 3
    assert webp.split(with_garbage).pixels is with_garbage


PALETTE = encoded(image=PICTURE.convert("P", palette=Image.Palette.ADAPTIVE), transparency=1)


class TestLeavesPixelsAsBrokenAsTheyAre:
    @pytest.mark.parametrize("name", [b"IHDR", b"PLTE", b"tRNS"])
    def test_where_a_checksum_is_wrong(self, name):
        place = PALETTE.index(name)
        end = place + 4 + int.from_bytes(PALETTE[place - 4 : place])
        broken = PALETTE[:end] + b"\0\0\0\0" + PALETTE[end + 4 :]
        with pytest.raises(InvalidInput, match="broken or cut short"):
            pixels(broken)

    @pytest.mark.parametrize(
        ("name", "changed"),
        [
            (b"PLTE", b"pLTE"), (b"PLTE", b'"LTE'), (b"PLTE", b"abCd"), (b"tRNS", b"tRnS"),
            (b"tRNS", b"tEXt"), (b"IDAT", b"iDAT"), (b"IDAT", b"tIME"),
        ],
    )  # fmt: skip
    def test_where_a_name_is_wrong(self, name, changed):
        with pytest.raises(InvalidInput, match="broken or cut short"):
            pixels(PALETTE.replace(name, changed))

    @pytest.mark.parametrize("content", [PALETTE, made(*RGB, TWO_COLOURS, chunk(b"tRNS", b"\0\1\0\1\0\1"))])
    def test_wherever_a_bit_before_them_is_wrong(self, content):
        expected = pixels(content)
        for place in range(8 * (content.index(b"IDAT") + 4)):
            broken = bytearray(content)
            broken[place // 8] ^= 1 << place % 8
            try:
                found = pixels(bytes(broken))
            except (InvalidInput, UnsupportedMedia, PayloadTooLarge):
                continue
            np.testing.assert_array_equal(found, expected)

    def test_where_something_stands_between_them(self):
        content = encoded()
        place = content.index(b"IDAT")
        data = content[place + 4 : place + 4 + int.from_bytes(content[place - 4 : place])]
        half = len(data) // 2
        head, first, last = content[: place - 4], chunk(b"IDAT", data[:half]), chunk(b"IDAT", data[half:])
        end = chunk(b"IEND", b"")
        np.testing.assert_array_equal(pixels(head + first + last + end), np.asarray(PICTURE))
        with pytest.raises(InvalidInput, match="broken or cut short"):
            pixels(head + first + chunk(b"tEXt", b"a\0b") + last + end)

    @pytest.mark.parametrize(("name", "kind"), [
        (b"VP8X", "lossy"), (b"VP8 ", "lossy"), (b"VP8L", "lossless"), (b"ANIM", "an animation"),
        (b"ANMF", "an animation"), (b"ALPH", "with transparency"), (b"VP8 ", "with transparency"),
    ])  # fmt: skip
    def test_where_a_length_in_a_webp_is_wrong(self, name, kind):
        content = of_riff(*webp_with(**WEBPS[kind]))
        place = content.index(name) + 4
        length = int.from_bytes(content[place : place + 4], "little")
        found_by_decoder = name == b"ANMF"  # where the length is too long
        for other in (0, length - 8, 2**31, *([] if found_by_decoder else [length + 8, length + 100])):
            broken = content[:place] + struct.pack("<I", max(other, 0)) + content[place + 4 :]
            with pytest.raises(InvalidInput, match="broken or cut short"):
                pixels(broken)

    @pytest.mark.parametrize("place", [30, 60, 90])
    def test_where_something_stands_in_a_webp(self, place):
        head, profile, picture, exif, xmp = split_webp(webp_with(image=CLEAR))
        alpha = picture[: picture.index(b"VP8 ")]
        for junk in (b"junk" * 3, riff(b"EXIF", b"junk"), riff(b"JUNK", b"junk")):
            with pytest.raises(InvalidInput, match="broken or cut short"):
                pixels(of_riff(head, profile, alpha, junk, picture[len(alpha) :], exif, xmp))
            with pytest.raises(InvalidInput, match="broken or cut short"):
                pixels(of_riff(head, profile, picture[:place] + junk + picture[place:], exif, xmp))

    @pytest.mark.parametrize("gone", [8, 40])
    def test_where_a_picture_of_a_webp_lacks_bytes(self, gone):
        for kind, options in WEBPS.items():
            head, profile, picture, exif, xmp = split_webp(webp_with(**options))
            for place in range(8, len(picture) - gone, 7):
                broken = picture[:place] + picture[place + gone :]
                if kind == "an animation" and broken[:14] != picture[:14]:
                    continue
                with pytest.raises(InvalidInput, match="broken or cut short"):
                    pixels(of_riff(head, profile, broken, exif, xmp))

    def test_where_there_is_none_in_a_webp(self):
        head, profile, _, exif, xmp = split_webp(webp_with())
        for chunks in ([head, profile, exif, xmp], [profile, exif], [head], []):
            with pytest.raises(InvalidInput, match="broken or cut short"):
                pixels(of_riff(*chunks))

    @pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
    def test_where_they_are_cut(self, format):
        noise = Image.fromarray(np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8))
        content = encoded(format, noise, exif=exif())
        for length in range(0, len(content) // 2, 37):
            with pytest.raises(InvalidInput):
                pixels(content[:length])
