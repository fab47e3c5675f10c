"""Layout: a LightGBM model in its native text format.

The engine trusts what it reads: a file that is cut short or points outside of its own tables can end the
process. So the whole file is read and checked here first, without the engine.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from modelserve.domain.inference import DataType, Signature, TensorSpec
from modelserve.domain.models import Runtime
from modelserve.errors import InvalidPackage
from modelserve.packages.declaration import Declaration
from modelserve.packages.lightgbm_rest import check_rest, end_of_trees
from modelserve.packages.lightgbm_trees import check_tree
from modelserve.packages.matrices import matrix_signature
from modelserve.packages.reading import read_text
from modelserve.packages.single_file import SingleFile, head_of

OUTPUT = "prediction"

_FIELD = re.compile(r"[A-Za-z_]\w*")
_PLAIN = re.compile(r"[^\x00-\x08\x0b-\x1f\x7f]*")
_BLANK = re.compile(r"\n*")
_MOST_LINES = 22
"""Fields of a tree that the engine reads (``max_num_line`` in LightGBM's ``src/io/tree.cpp``)."""


def _looks_right(path: Path) -> bool:
    """Whether a text file begins as LightGBM writes it, and not as somebody's notes."""
    return head_of(path).startswith((b"tree\n", b"tree\r\n"))


def read_signature(path: Path, declaration: Declaration, alone: bool = False) -> Signature:
    """One matrix in, of doubles as its thresholds are; the booster's prediction out.

    Raises InvalidPackage for a damaged file.
    """
    text = read_text(path)
    try:
        header = _check_whole(text)
        features, columns = int(header["max_feature_idx"]) + 1, _columns(header)
        for tree in _trees(text, header):
            check_tree(tree, features)
    except (KeyError, ValueError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise InvalidPackage(
            f"{path.name}: is no whole LightGBM model ({what}); save it again with `booster.save_model()`"
        ) from error
    shape = (-1,) if columns == 1 else (-1, columns)
    outputs = [TensorSpec(OUTPUT, DataType.FP64, shape)]
    names = header.get("feature_names", "").split()
    return matrix_signature(path.name, features, outputs, declaration, names, DataType.FP64)


LIGHTGBM = SingleFile(Runtime.LIGHTGBM, (".txt",), read_signature, _looks_right)
"""A file ``anything.txt`` as ``Booster.save_model`` writes it, or a folder with exactly one."""


def _check_whole(text: str) -> Mapping[str, str]:
    """The lines before the first tree. Raises ValueError unless the file begins as it should."""
    if text.startswith("tree\r\n"):
        raise ValueError(
            "its lines end as those of Windows, which LightGBM stumbles over; `dos2unix` mends that"
        )
    if not text.startswith("tree\n"):
        raise ValueError("its first line is not 'tree'")
    if _PLAIN.fullmatch(text) is None:
        raise ValueError("it holds control characters")
    return _fields(text[: _bounds(text)[0]])


def _bounds(text: str) -> tuple[int, int]:
    """Where the first tree begins, as the engine finds it, and where the last one ends."""
    first, end = text.find("\nTree=") + 1, end_of_trees(text)
    if first > end:
        raise ValueError("a tree stands behind the end of its trees")
    return first or end, end


def _trees(text: str, header: Mapping[str, str]) -> list[Mapping[str, str]]:
    """The trees one after the other, and after them what ends a whole file."""
    first, end = _bounds(text)
    check_rest(text[end:])
    blocks = _by_size(text[first:end], header) if "tree_sizes" in header else _by_lines(text, first, end)
    found: list[Mapping[str, str]] = []
    for index, block in enumerate(blocks):
        if not block.startswith(f"Tree={index}\n"):
            raise ValueError(f"tree {index} does not begin where it should")
        found.append(_fields(block, valued=True))
    return found


def _by_size(body: str, header: Mapping[str, str]) -> Iterator[str]:
    """Each in as many bytes as the header says."""
    sizes = [int(size) for size in header["tree_sizes"].split()]
    if len(body) != sum(sizes) or min(sizes, default=0) < 0:
        raise ValueError(f"its trees have {len(body)} bytes, not {sum(sizes)}")
    place = 0
    for size in sizes:
        yield body[place : place + size]
        place += size


def _by_lines(text: str, first: int, end: int) -> Iterator[str]:
    """Each up to an empty line, as the engine reads files before 2.0.12: at anything else it would stop, and
    leave out the trees behind it without a word."""
    while first < end:
        last = text.find("\n\n", first) + 1
        if not first < last <= end or text.count("\n", first, last) > 1 + _MOST_LINES:
            raise ValueError(f"{text[first : first + 40].split(chr(10))[0]!r} has no end")
        yield text[first:last]
        blank = _BLANK.match(text, last)
        first = blank.end() if blank else last


def _fields(block: str, valued: bool = False) -> dict[str, str]:
    """Lines ``name=values``. Raises ValueError for a line of another kind, which the engine stumbles over.

    ``valued``: it reads on for a ``=`` where a line has none; in a header a name alone has a meaning.
    """
    found = {}
    for line in filter(None, block.split("\n")):
        name, equals, values = line.partition("=")
        if _FIELD.fullmatch(name) is None or name in found or (valued and not equals):
            raise ValueError(f"{name[:40]!r} stands where a field should")
        found[name] = values
    return found


def _columns(header: Mapping[str, str]) -> int:
    """Numbers in one row of the prediction; 2.0.0 tells the number of classes alone."""
    columns = int(header.get("num_tree_per_iteration") or header["num_class"])
    if columns < 1:
        raise ValueError(f"it has {columns} trees per iteration")
    return columns
