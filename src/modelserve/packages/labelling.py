"""What a Hugging Face ``config.json`` says about the classes of a model and about their scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelserve.domain.inference import TensorSpec
from modelserve.domain.models import Scores
from modelserve.errors import InvalidPackage

CONFIG = "config.json"
MOST = 100_000
"""Labels that are made up; a model with more classes needs names for them."""
_PROBLEMS = ("single_label_classification", "multi_label_classification", "regression")


def told_labels(config: Mapping[str, Any]) -> int | None:
    """How many labels it tells of; None where it does not, or only in a way that is refused later."""
    given, number = config.get("id2label"), config.get("num_labels")
    if given is None:
        return number if type(number) is int else None
    return len(given) if isinstance(given, dict) else None


def labels_of(config: Mapping[str, Any], logits: TensorSpec) -> tuple[str, ...]:
    """id2label in the order of its indices, which must count from 0 without a gap.

    Where it is left out, ``LABEL_0`` and so on, as transformers names them, for it does not write them down.
    Raises InvalidPackage.
    """
    given = config.get("id2label")
    if given is None:
        return tuple(f"LABEL_{index}" for index in range(_classes(config, logits)))
    if not isinstance(given, dict) or not given:
        raise InvalidPackage(
            f'{CONFIG}: id2label: {given!r}; an object such as {{"0": "cat", "1": "dog"}} is wanted'
        )
    wanted = [str(index) for index in range(len(given))]
    if set(given) != set(wanted):
        stray = next(key for key in given if key not in wanted)
        raise InvalidPackage(
            f'{CONFIG}: id2label: {stray!r} is out of place among {len(given)} labels; keys run "0" to '
            f'"{len(given) - 1}"'
        )
    told = config.get("num_labels")
    if told is not None and told != len(given):
        raise InvalidPackage(f"{CONFIG}: num_labels: {told!r}, but id2label has {len(given)} labels")
    for index in wanted:
        if not isinstance(given[index], str) or not given[index]:
            raise InvalidPackage(f"{CONFIG}: id2label: {index!r}: {given[index]!r}; a label is text")
    return tuple(given[index] for index in wanted)


def scores_of(config: Mapping[str, Any], labels: int) -> Scores:
    """How logits become scores, by ``problem_type`` and the number of labels, as transformers decides it.

    Its ``function_to_apply`` comes last there, and so never into play. Raises InvalidPackage.
    """
    problem = config.get("problem_type")
    if problem is not None and problem not in _PROBLEMS:
        raise InvalidPackage(f"{CONFIG}: problem_type: {problem!r}; known are {', '.join(_PROBLEMS)}")
    if problem == "regression":
        return Scores.VALUES
    if problem == "single_label_classification" and labels == 1:
        raise InvalidPackage(
            f"{CONFIG}: problem_type: {problem!r} needs two labels, but the model has one; "
            f"leave it out to get the probability of that one, or set it to 'regression'"
        )
    return Scores.SIGMOID if labels == 1 or problem == "multi_label_classification" else Scores.SOFTMAX


def _classes(config: Mapping[str, Any], logits: TensorSpec) -> int:
    """As many as the graph gives; where it leaves the axis open, ``num_labels``."""
    graph, told = logits.shape[-1], config.get("num_labels")
    if told is not None and (type(told) is not int or told < 1):
        raise InvalidPackage(f"{CONFIG}: num_labels: {told!r}; a number above 0 is wanted")
    if told is not None and graph not in (-1, told):
        raise InvalidPackage(f"{CONFIG}: num_labels: {told}, but output {logits.name!r} has {graph} classes")
    found = told or graph
    if not 0 < found <= MOST:
        many = f"the model has {found} classes" if found > 0 else "the graph tells no number of classes"
        wanted = 'an object such as {"0": "cat", "1": "dog"} is wanted'
        raise InvalidPackage(f"{CONFIG}: id2label: left out, and {many}; {wanted}")
    return found
