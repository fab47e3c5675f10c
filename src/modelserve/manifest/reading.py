"""YAML text to plain values, with the line of every key.

JSON is YAML, so it is read here too. Left out on purpose, because a spec file never needs it and a
stranger's may abuse it: tags, merge keys, keys that are not text, duplicate keys, deep nesting and aliases
that multiply.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

MAX_TEXT = 128 * 1024
"""Characters in one file."""
MAX_SCALAR = 4096
"""Characters in one value."""
MAX_DEPTH = 32
MAX_NODES = 10_000
"""Values in one document, after aliases have been put in."""

Path = tuple[str | int, ...]


class Problem(NamedTuple):
    """One thing that is wrong, on which line (from 1)."""

    line: int
    text: str


class Unreadable(Exception):
    """The text is no YAML that is read here."""

    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.problem = Problem(line, text)


@dataclass(slots=True)
class Document:
    """One document: its values, the line of each key path, and what was wrong on the way."""

    line: int
    data: Any = None
    lines: dict[Path, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def line_of(self, path: Path) -> int:
        """Where ``path`` is written, or the nearest thing around it that is."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.lines:
                return self.lines[path[:length]]
        return self.line

    def value_at(self, path: Path) -> Any:
        """Raises LookupError or TypeError where there is nothing."""
        value = self.data
        for step in path:
            value = value[step]
        return value


def read(text: str) -> list[Document]:
    """All documents that are not empty. Raises Unreadable for text that can't be read at all."""
    if len(text) > MAX_TEXT:
        raise Unreadable(1, f"holds {len(text)} characters; at most {MAX_TEXT} are read")
    try:
        loader = _Loader(_without_tabs(text))
        try:
            return [_document(loader, node) for node in _nodes(loader) if not _is_empty(node)]
        finally:
            loader.dispose()
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise Unreadable(line, "not valid YAML: a character that may not be there") from None
    except yaml.MarkedYAMLError as error:
        raise Unreadable(_line_of(error), f"not valid YAML: {_said(error)}") from None


class _Loader(yaml.SafeLoader):
    """Composes nodes; refuses tags and deep nesting before they cost anything."""

    depth = 0

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]  # PyYAML's stubs leave it bare
        line = event.start_mark.line + 1
        if getattr(event, "tag", None) is not None:
            raise Unreadable(line, f"tags such as {event.tag} are not read here; write plain values")
        if self.depth == MAX_DEPTH:
            raise Unreadable(line, f"nested deeper than {MAX_DEPTH} levels")
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1


_Loader.yaml_implicit_resolvers = {}
_INTEGER = r"[-+]?(?:0|[1-9][0-9]*)"
for _tag, _pattern, _first in (
    (
        "bool",
        r"^(?:yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF)$",
        "yYnNtTfFoO",
    ),
    ("int", rf"^{_INTEGER}$", "-+0123456789"),
    ("float", rf"^{_INTEGER}(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?$", "-+0123456789"),
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("merge", r"^(?:<<)$", ["<"]),
):  # what kubectl reads: neither times of day nor dates are numbers or anything but text
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), list(_first))


def _nodes(loader: _Loader) -> Iterator[Node]:
    while loader.check_node():
        node = loader.get_node()
        if node is not None:
            yield node


def _is_empty(node: Node) -> bool:
    return isinstance(node, ScalarNode) and node.value == "" and node.style is None


def _document(loader: _Loader, node: Node) -> Document:
    document = Document(line=node.start_mark.line + 1)
    document.data = _Walk(loader, document).value(node, ())
    return document


class _Walk:
    """From nodes to values; counts what it meets, so that an alias pays each time it is used."""

    def __init__(self, loader: _Loader, document: Document) -> None:
        self.loader = loader
        self.document = document
        self.nodes = 0

    def value(self, node: Node, path: Path) -> Any:
        self.nodes += 1
        line = node.start_mark.line + 1
        if self.nodes > MAX_NODES or len(path) > MAX_DEPTH:
            raise Unreadable(
                line, f"holds more than {MAX_NODES} values or {MAX_DEPTH} levels, aliases put in"
            )
        if isinstance(node, MappingNode):
            return self._mapping(node, path)
        if isinstance(node, SequenceNode):
            return [self._item(item, (*path, index)) for index, item in enumerate(node.value)]
        if len(node.value) > MAX_SCALAR:
            self._complain(line, path, f"holds {len(node.value)} characters; at most {MAX_SCALAR} are read")
            return ""
        value = self.loader.construct_object(node)
        return self._unicode(value, line, path) if isinstance(value, str) else value

    def _item(self, node: Node, path: Path) -> Any:
        self.document.lines.setdefault(path, node.start_mark.line + 1)
        return self.value(node, path)

    def _mapping(self, node: MappingNode, path: Path) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = self._key(key_node, path)
            if key is None:
                continue
            if key in values:
                first = self.document.lines[(*path, key)]
                self._complain(line, (*path, key), f"written twice; the first is on line {first}")
                continue
            self.document.lines[(*path, key)] = line
            values[key] = self.value(value_node, (*path, key))
        return values

    def _key(self, node: Node, path: Path) -> str | None:
        line = node.start_mark.line + 1
        if isinstance(node, ScalarNode) and node.tag == "tag:yaml.org,2002:str" and len(node.value) <= 256:
            return self._unicode(node.value, line, path)
        shown = ascii(node.value[:40]) if isinstance(node, ScalarNode) else "a list or mapping"
        self._complain(
            line, path, f"got the key {shown}: keys must be short text; quote it if it is meant so"
        )
        return None

    def _unicode(self, text: str, line: int, path: Path) -> str:
        """JSON writes a character beyond U+FFFF as two halves; one half alone is no character."""
        try:
            return text.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            self._complain(line, path, "holds half of a character (a lone surrogate)")
            return ""

    def _complain(self, line: int, path: Path, text: str) -> None:
        self.document.problems.append(Problem(line, f"{show(path)}: {text}" if path else text))


def show(path: Path) -> str:
    """``("spec", "steps", 1)`` -> ``"spec.steps[1]"``."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


def _without_tabs(text: str) -> str:
    """JSON may be indented by tabs, YAML may not; inside JSON's strings there are none."""
    if "\t" not in text or not text.lstrip().startswith("{"):
        return text
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return text
    return text.replace("\t", " ")


def _line_of(error: yaml.MarkedYAMLError) -> int:
    mark = error.problem_mark or error.context_mark
    return 1 if mark is None else mark.line + 1


def _said(error: yaml.MarkedYAMLError) -> str:
    return ", ".join(part for part in (error.context, error.problem) if part) or "it can't be read"
