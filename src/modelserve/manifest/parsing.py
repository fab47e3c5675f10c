"""From the text of a file to typed specs, or to a list of all that is wrong with it."""

from __future__ import annotations

import json
from typing import TypeVar, cast

from pydantic import ValidationError

from modelserve.domain.experiments import Experiment
from modelserve.domain.services import ModelService
from modelserve.errors import InvalidSpec
from modelserve.manifest.reading import Document, Problem, Unreadable, read
from modelserve.manifest.wording import problems

_SHOWN = 30

Spec = ModelService | Experiment
Kinds = tuple[type[Spec], ...]
T = TypeVar("T", bound=Spec)


def parse(text: str, source: str) -> ModelService:
    """The one spec in ``text`` (YAML or JSON); ``source`` names the file in messages.

    Raises InvalidSpec, whose message has a line per problem: ``ner.yaml:7: spec.scaling.min: got 0: must be
    at least 1``.
    """
    return _only(parse_all(text, source), source)


def parse_experiment(text: str, source: str) -> Experiment:
    """As :func:`parse`, for an experiment."""
    return _only(cast(tuple[Experiment, ...], _parse(text, source, (Experiment,))), source)


def parse_all(text: str, source: str) -> tuple[ModelService, ...]:
    """Every service in a file of documents divided by ``---``; empty documents are passed over.

    Raises InvalidSpec as :func:`parse` does, also for two services of the same name and for no document.
    """
    return cast(tuple[ModelService, ...], _parse(text, source, (ModelService,)))


def parse_any(text: str, source: str) -> tuple[Spec, ...]:
    """As :func:`parse_all`, for documents of every kind."""
    return _parse(text, source, (ModelService, Experiment))


def _only(specs: tuple[T, ...], source: str) -> T:
    if len(specs) != 1:
        raise InvalidSpec(f"{source}: holds {len(specs)} documents; exactly one is expected here")
    return specs[0]


def _parse(text: str, source: str, kinds: Kinds) -> tuple[Spec, ...]:
    try:
        documents = read(text)
    except Unreadable as error:
        raise _invalid(source, [error.problem]) from None
    if not documents:
        raise InvalidSpec(f"{source}: holds no document")
    specs: dict[tuple[str, str], Spec] = {}
    found: list[Problem] = []
    for document in documents:
        outcome = _check(document, kinds)
        if isinstance(outcome, list):
            found += outcome
        elif (outcome.kind, outcome.name) in specs:
            line = document.line_of(("metadata", "name"))
            found.append(
                Problem(line, f'metadata.name: got "{outcome.name}": another document has this name')
            )
        else:
            specs[outcome.kind, outcome.name] = outcome
    if found:
        raise _invalid(source, found)
    return tuple(specs.values())


def _kind(document: Document, kinds: Kinds) -> type[Spec]:
    """What the document says that it is; the first of ``kinds`` if it is none of them."""
    said = document.data.get("kind") if isinstance(document.data, dict) else None
    return next((kind for kind in kinds if kind.__name__ == said), kinds[0])


def _check(document: Document, kinds: Kinds) -> Spec | list[Problem]:
    """Strictly and by the file's names alone, as a cluster checks it: no ``"8"`` for 8, no ``max_size``."""
    if document.problems:
        return document.problems
    model = _kind(document, kinds)
    try:
        return model.model_validate_json(json.dumps(document.data), strict=True, by_alias=True, by_name=False)
    except ValidationError as error:
        errors = error.errors(include_url=False)
    strangers = [error for error in errors if error["loc"] in (("apiVersion",), ("kind",))]
    return problems(model, strangers or errors, document)


def _invalid(source: str, found: list[Problem]) -> InvalidSpec:
    lines = [f"{source}:{problem.line}: {problem.text}" for problem in found[:_SHOWN]]
    if len(found) > _SHOWN:
        lines.append(f"{source}: and {len(found) - _SHOWN} problems more")
    return InvalidSpec("\n".join(map(_printable, lines)))


def _printable(line: str) -> str:
    """A stranger's file must not steer the terminal that shows what is wrong with it."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in line)
