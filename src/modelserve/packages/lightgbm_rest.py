"""What follows the trees of a LightGBM model file, which tells whether the file is whole.

The engine's own writer (the command line, R, the C API, SynapseML) ends with the parameters; the Python
package adds a line ``pandas_categorical``. Versions before 2.2 have no line "end of trees", those before 2.1
no parameters. Source: ``GBDT::SaveModelToString`` in LightGBM's ``src/boosting/gbdt_model_text.cpp``.
"""

from __future__ import annotations

import json
import re

_END_OF_TREES = "\nend of trees\n"
_OLD_END_OF_TREES = "\n\nfeature importances:\n"
_PARAMETER = re.compile(r"\[\w+: .*\]")
_IMPORTANCE = re.compile(r".+=\d+")
_CATEGORIES = "pandas_categorical:"
_SECTION = re.compile(rf"\n*(?:(feature[ _]importances|parameters|parser):\n|{_CATEGORIES})")
_AFTER_IMPORTANCES = re.compile(r"\n(?=\n|parameters:\n)")


def end_of_trees(text: str) -> int:
    """Where the trees end. Raises ValueError where nothing says that they do."""
    for mark in (_END_OF_TREES, _OLD_END_OF_TREES):
        if (place := text.find(mark)) >= 0:
            return place + 1
    raise ValueError("it ends too early")


def check_rest(rest: str) -> None:
    """Raise ValueError where a section after the trees is cut short, or holds what it should not.

    Where a file ends between two sections nothing is lost for predictions: then it is whole. What the engine
    wrote must end with a line's end, though: without one, it reads on behind its last line.
    """
    old = not rest.startswith(_END_OF_TREES[1:])
    rest = rest if old else rest.removeprefix(_END_OF_TREES[1:])
    last = rest.rpartition("\n")[2]
    if last and not last.startswith(_CATEGORIES):
        raise ValueError("its last line has no end")
    while (begun := _SECTION.match(rest)) is not None:
        rest = _after(begun[1], rest[begun.end() :], old)
    if rest.strip("\n"):
        raise ValueError(f"{rest.strip()[:40]!r} follows its trees")


def _after(section: str | None, rest: str, old: bool) -> str:
    """What follows a section, ``rest`` being its content and all behind it."""
    if section is None:
        return _after_categories(rest)
    if section == "parameters":
        return _after_parameters(rest, old)
    if section == "parser":
        return _ended(rest, "parser")[1]
    lines, *behind = _AFTER_IMPORTANCES.split(f"\n{rest}", maxsplit=1)
    _check_lines(lines, _IMPORTANCE, "a feature's importance")
    return behind[0] if behind else ""


def _after_parameters(rest: str, old: bool) -> str:
    if old and "\nend of parameters\n" not in rest:
        lines, _, rest = rest.partition("\n\n")
    else:
        lines, rest = _ended(rest, "parameters")
    _check_lines(lines, _PARAMETER, "a parameter")
    return rest


def _ended(rest: str, section: str) -> tuple[str, str]:
    """The content of a section up to its last line, and what follows that."""
    content, ended, rest = rest.partition(f"\nend of {section}\n")
    if not ended:
        raise ValueError(f"its {section} have no end")
    return content, rest


def _after_categories(rest: str) -> str:
    line, _, rest = rest.partition("\n")
    try:
        json.loads(line)
    except ValueError:
        raise ValueError(f"its categories end too early, with {line[-40:]!r}") from None
    return rest


def _check_lines(lines: str, right: re.Pattern[str], what: str) -> None:
    strange = next((line for line in lines.split("\n") if line and not right.fullmatch(line)), None)
    if strange is not None:
        raise ValueError(f"{strange[:40]!r} stands where {what} should")
