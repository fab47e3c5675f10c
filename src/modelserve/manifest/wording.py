"""What the typed model says about a document, in sentences for the person who wrote the file."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterable
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, PlainSerializer
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from modelserve.manifest.reading import Document, Path, Problem, show

_SHOWN = 80


def problems(model: type[BaseModel], errors: Iterable[ErrorDetails], document: Document) -> list[Problem]:
    """One problem for each error that a person can act upon, in the order of the lines."""
    found = {_problem(model, error, document): None for error in errors if not _follows(error, document)}
    return sorted(found, key=lambda problem: problem.line)


def suggest(word: str, known: Iterable[str]) -> str:
    """``" did you mean maxDelay?"`` when something known is close, else nothing."""
    by_folded = {name.casefold().replace("_", ""): name for name in known}
    close = difflib.get_close_matches(word.casefold().replace("_", ""), by_folded, n=1, cutoff=0.6)
    return f" did you mean {by_folded[close[0]]}?" if close else ""


def _follows(error: ErrorDetails, document: Document) -> bool:
    """Whether this is only an echo: a list counts as too short when its items are wrong."""
    if error["type"] != "too_short":
        return False
    return bool(len(document.value_at(error["loc"])) >= error["ctx"]["min_length"])


def _problem(model: type[BaseModel], error: ErrorDetails, document: Document) -> Problem:
    path: Path = error["loc"]
    say = _SENTENCES.get(error["type"], _plain)
    sentence = say(_Finding(model, error, document))
    got = "" if error["type"] in ("missing", "extra_forbidden") else f"got {_value(document, path)}: "
    where = f"{show(path)}: " if path else ""
    return Problem(document.line_of(path), f"{where}{got}{sentence}")


def _value(document: Document, path: Path) -> str:
    text = json.dumps(document.value_at(path), ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


class _Finding:
    """One error of the typed model, with what the model says about the place."""

    def __init__(self, model: type[BaseModel], error: ErrorDetails, document: Document) -> None:
        self.error = error
        self.path: Path = error["loc"]
        self.value = None if error["type"] == "missing" else document.value_at(self.path)
        self.section, self.field = _look_up(model, self.path)

    @property
    def context(self) -> dict[str, Any]:
        return self.error.get("ctx", {})

    def bound(self, name: str) -> str:
        """A limit as the file would write it: seconds with a unit, shares in percent."""
        limit = self.context[name]
        metadata = self.field.metadata if self.field else ()
        for part in metadata:
            if isinstance(part, PlainSerializer):
                return str(part.func(limit))  # type: ignore[call-arg]  # ours take the value alone
        return f"{limit:g}" if isinstance(limit, float) else str(limit)


def _missing(finding: _Finding) -> str:
    description = finding.field.description if finding.field else None
    return f"required, but left out{f' ({_first_sentence(description)})' if description else ''}"


def _unknown(finding: _Finding) -> str:
    known = field_names(finding.section)
    return f"unknown field;{suggest(str(finding.path[-1]), known)} known here: {', '.join(known)}"


def _choice(finding: _Finding) -> str:
    expected = str(finding.context["expected"]).replace("'", "")
    choices = expected.replace(" or ", ", ").split(", ")
    hint = suggest(finding.value, choices) if isinstance(finding.value, str) else ""
    return f"must be {expected}{f';{hint}' if hint else ''}"


def _mapping(finding: _Finding) -> str:
    known = ", ".join(field_names(finding.section))
    hint = "; leave the field out for the defaults" if finding.value is None and finding.path else ""
    return f"must be a mapping (known here: {known}){hint}"


def _text(finding: _Finding) -> str:
    return "must be text" + ("; put it in quotes" if isinstance(finding.value, bool | int | float) else "")


def _pattern(finding: _Finding) -> str:
    if finding.field is None or not finding.field.description:
        return f"must match {finding.context['pattern']}"
    described = _first_sentence(finding.field.description)
    return f"must be {described[:1].lower()}{described[1:]}"


def _own(finding: _Finding) -> str:
    """A sentence of ours, raised by a validator."""
    return str(finding.context["error"])


def _plain(finding: _Finding) -> str:
    said = finding.error["msg"]
    return said[:1].lower() + said[1:]


def _count(name: str, words: str) -> Callable[[_Finding], str]:
    def say(finding: _Finding) -> str:
        count = finding.context[name]
        return f"must have {words.format(count)}{'' if count == 1 else 's'}"

    return say


_SENTENCES: dict[str, Callable[[_Finding], str]] = {
    "missing": _missing,
    "extra_forbidden": _unknown,
    "literal_error": _choice,
    "enum": _choice,
    "model_type": _mapping,
    "tuple_type": lambda finding: "must be a list",
    "string_type": _text,
    "string_pattern_mismatch": _pattern,
    "int_type": lambda finding: "must be a whole number",
    "int_from_float": lambda finding: "must be a whole number",
    "int_parsing_size": lambda finding: "must be a smaller number",
    "float_type": lambda finding: "must be a number",
    "greater_than": lambda finding: f"must be more than {finding.bound('gt')}",
    "greater_than_equal": lambda finding: f"must be at least {finding.bound('ge')}",
    "less_than": lambda finding: f"must be less than {finding.bound('lt')}",
    "less_than_equal": lambda finding: f"must be at most {finding.bound('le')}",
    "string_too_short": _count("min_length", "at least {} character"),
    "string_too_long": _count("max_length", "at most {} character"),
    "too_short": _count("min_length", "at least {} item"),
    "too_long": _count("max_length", "at most {} item"),
    "value_error": _own,
}


def field_names(section: type[BaseModel] | None) -> list[str]:
    """The names that a file may use in this section."""
    return [] if section is None else [field.alias or name for name, field in section.model_fields.items()]


def _look_up(model: type[BaseModel], path: Path) -> tuple[type[BaseModel] | None, FieldInfo | None]:
    """The section that ``path`` is in (or is), and its field, as far as the model knows them."""
    section: type[BaseModel] | None = model
    field: FieldInfo | None = None
    for step in path:
        if isinstance(step, int) or section is None:
            continue
        field = next((f for name, f in section.model_fields.items() if (f.alias or name) == step), None)
        if field is None:
            return section, None
        section = _section_in(field.annotation)
    return section, field


def _section_in(annotation: Any) -> type[BaseModel] | None:
    """The section in ``Section``, ``Section | None`` or ``tuple[Section, ...]``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) is None:
        return None
    inner = get_args(annotation)[:1] if get_origin(annotation) is Annotated else get_args(annotation)
    return next((found for found in map(_section_in, inner) if found), None)


def _first_sentence(text: str) -> str:
    return " ".join(text.split()).split(". ")[0].rstrip(".")
