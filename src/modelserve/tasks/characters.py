"""Pieces of a text, by the kinds of its characters alone: words, runs without spaces, and signs.

A run is written in a script that puts no space between words: the ones that Unicode breaks as ideographs or
by dictionary (UAX 14, classes ID, CJ and SA), and Tibetan, Balinese and Javanese. Korean has spaces, so its
letters make words.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from enum import Enum

_SPACELESS = (
    (0x0E00, 0x109F),  # Thai, Lao, Tibetan, Burmese
    (0x1780, 0x17FF),  # Khmer
    (0x1950, 0x19FF),  # Tai Le, New Tai Lue, Khmer symbols
    (0x1A20, 0x1AAF),  # Tai Tham
    (0x1B00, 0x1B7F),  # Balinese
    (0x2E80, 0x2FDF),  # radicals of Han characters
    (0x3005, 0x312F),  # Han signs, Hiragana, Katakana, Bopomofo
    (0x31A0, 0x31FF),  # their extensions
    (0x3400, 0x4DBF),  # Han
    (0x4E00, 0xA4CF),  # Han, Yi
    (0xA980, 0xA9FF),  # Javanese, Burmese
    (0xAA60, 0xAADF),  # Burmese, Tai Viet
    (0xF900, 0xFAFF),  # Han
    (0xFF66, 0xFF9F),  # Katakana of half width
    (0x11700, 0x1174F),  # Ahom
    (0x16FE0, 0x1B2FF),  # Tangut, Khitan, kana, Nushu
    (0x20000, 0x3FFFF),  # Han
)
_HANGUL = ((0x1100, 0x11FF), (0x3130, 0x318F), (0xA960, 0xA97F), (0xAC00, 0xD7FF), (0xFFA0, 0xFFDC))
_NAMED = {
    "\u2581": "s",  # the sign that SentencePiece puts for a space
    "\u200b": "s",  # the space of no width that parts words in Khmer and Thai
    "\ufeff": "s",
    "\u200d": "z",
    **dict.fromkeys("\u00b7\u2027\u05f3\u05f4", "f"),  # as Catalan and Hebrew write them inside of words
    **dict.fromkeys("-\u2010\u2011\u058a\u05be\uff0d", "-"),
    **dict.fromkeys("'\u2019\uff07", "'"),
    **dict.fromkeys("&_\uff06", "&"),
    **dict.fromkeys(".\uff0e", "."),
    **dict.fromkeys(",:/\u066b\u066c\uff0c\uff1a\uff0f", ","),
}
_SORTS = {"M": "m", "N": "d", "P": "p", "S": "p", "Z": "s"}


class _Kinds(dict[int, str]):
    """A letter for each code point, found when first asked for: w letter, h letter of Korean, d digit, c
    letter of a script without spaces, m mark, f format, z joiner of emoji, r half of a flag, s space, p sign;
    the signs that can stand inside of a word are - ' & . and the comma.
    """

    def __missing__(self, point: int) -> str:
        self[point] = kind = _kind(point)
        return kind


def _kind(point: int) -> str:
    char = chr(point)
    if (named := _NAMED.get(char)) is not None:
        return named
    if 0x1F3FB <= point <= 0x1F3FF:  # a skin colour belongs to the emoji before it
        return "m"
    if 0x1F1E6 <= point <= 0x1F1FF:
        return "r"
    category = unicodedata.category(char)
    if category in ("Cc", "Cf"):
        return "s" if category == "Cc" else "f"
    sort = _SORTS.get(category[0], "w")
    ideographic = category == "Nl" and point > 0x3000  # the Han zero, 〇, counts as a number
    if sort == "w" or ideographic:
        return _letter(point)
    return sort


def _letter(point: int) -> str:
    for kind, ranges in (("h", _HANGUL), ("c", _SPACELESS)):
        if any(first <= point <= last for first, last in ranges):
            return kind
    return "w"


_KINDS = _Kinds()
_PIECES = re.compile(
    r"""
      (?P<word>  (?:w\.){2,8}+(?![wd]) | [wd](?:[wdmfz]*[wdm])? | h(?:[hdmfz]*[hdm])? )
    | (?P<run>   c[cmfz]* )
    | (?P<joint> (?<=[wdhm])[-'&](?=[wdh]) | (?<=d)[.,](?=d) | (?:(?<=[^wdmfz]w)|(?<=\Aw))\.(?=w) )
    | (?P<sign>  rr | p[mf]*(?:zp[mf]*)* | [-'&.,r] )
    """,
    re.VERBOSE,
)


class Joint(Enum):
    """How a word hangs on to the one before it.

    ``LOOSE``: by a sign, but it starts with a small letter, as no part of a name does (London-based,
    Berlin's), or as a Korean ending of a name in another script. ``FIRM``: by a sign, as parts of one name
    are (New-York, O'Neill, COVID-19).
    """

    NONE = "none"
    LOOSE = "loose"
    FIRM = "firm"


_NONE = Joint.NONE

Piece = tuple[str, int, int, Joint]
"""What it is (``word``, ``run`` or ``sign``), where it starts and ends in code points, and its joint."""


def pieces(text: str) -> Iterator[Piece]:
    """The pieces of ``text`` in their order. White space, and signs inside of words, are in none."""
    joint = word = -1  # where the last sign inside of a word stands, and where the last word ends
    for match in _PIECES.finditer(text.translate(_KINDS)):
        start, end = match.span()
        kind = match.lastgroup or ""
        if kind == "joint":
            joint = start
        elif kind == "word":
            yield kind, start, end, _joint(text, joint, word, start, end)
            word = end
        else:
            yield kind, start, end, _NONE


def is_spaceless(char: str) -> bool:
    """Whether this is a letter of a script that writes no spaces."""
    return _KINDS[ord(char)] == "c"


def is_mark(char: str) -> bool:
    """Whether this belongs to the character before it."""
    return _KINDS[ord(char)] == "m"


def _joint(text: str, joint: int, word: int, start: int, end: int) -> Joint:
    if word == start:
        return Joint.LOOSE
    if joint != start - 1 or joint < 0:
        return _NONE
    clitic = end - start == 1 and _KINDS[ord(text[joint])] == "'"  # BERLIN'S
    return Joint.LOOSE if clitic or text[start].islower() else Joint.FIRM
