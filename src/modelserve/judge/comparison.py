"""What differs between two versions' answers to the same request.

Answers come in the canonical form of the model servers' answer logs: ``{"kind": "entities", "items": ...}``,
``{"kind": "labels", "items": ..., "scores": ...}`` or ``{"kind": "tensors", "outputs": {name: {"shape",
"data"}}}``. Entities are compared as in the evaluation of MUC-5 (Chinchor & Sundheim, 1993).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from modelserve.domain.differences import Difference, DifferenceKind
from modelserve.domain.services import Compare
from modelserve.judge.spans import align

Answer = Mapping[str, Any]
Found = tuple[Counter[str], float]
"""How many parts differ by kind, and how much in all, in 0..1."""


def compare(stable: Answer | None, candidate: Answer | None, rules: Compare) -> Difference:
    """Never raises for what an answer log holds; an answer of another form differs as much as can be."""
    if candidate is None or stable is None:
        return Difference({DifferenceKind.FAILURE: 1}, 1.0)
    if stable["kind"] != candidate["kind"]:
        return Difference({DifferenceKind.FORM: 1}, 1.0)
    kinds, score = _BY_FORM[stable["kind"]](stable, candidate, rules)
    return Difference(dict(kinds), min(score, 1.0) if kinds else 0.0)


def _labels(stable: Answer, candidate: Answer, rules: Compare) -> Found:
    one, other = stable["items"], candidate["items"]
    if len(one) != len(other):
        return Counter({DifferenceKind.SHAPE: 1}), 1.0
    kinds: Counter[str] = Counter()
    score = 0.0
    for label, changed, sure, surer in zip(one, other, _scores(stable), _scores(candidate), strict=True):
        if label != changed:
            kinds[DifferenceKind.LABEL] += 1
            # Two versions that are sure of different things differ most; a regression's values are no shares.
            score += (1 + min(max(min(sure, surer), 0.0), 1.0)) / 2
        elif rules.score_tolerance is not None and abs(sure - surer) > rules.score_tolerance:
            kinds[DifferenceKind.SCORE] += 1
            score += abs(sure - surer) / 2
    return kinds, score / max(len(one), 1)


def _scores(answer: Answer) -> Sequence[float]:
    return answer.get("scores") or [1.0] * len(answer["items"])


def _entities(stable: Answer, candidate: Answer, rules: Compare) -> Found:
    one, other = stable["items"], candidate["items"]
    if len(one) != len(other):
        return Counter({DifferenceKind.SHAPE: 1}), 1.0
    kinds: Counter[str] = Counter()
    wrong = places = 0
    for expected, found in zip(one, other, strict=True):
        for match in align(expected, found):
            kinds.update(match.kinds)
            wrong += bool(match.kinds)
            places += 1
    return kinds, wrong / max(places, 1)


def _tensors(stable: Answer, candidate: Answer, rules: Compare) -> Found:
    one, other = stable["outputs"], candidate["outputs"]
    if _shapes(one) != _shapes(other):
        return Counter({DifferenceKind.SHAPE: 1}), 1.0
    elements = [pair for name in one for pair in zip(one[name]["data"], other[name]["data"], strict=True)]
    moved = sum(not _close(a, b, rules) for a, b in elements)
    return Counter({DifferenceKind.VALUE: moved} if moved else {}), moved / max(len(elements), 1)


def _shapes(outputs: Mapping[str, Any]) -> dict[str, tuple[Any, int]]:
    return {name: (output["shape"], len(output["data"])) for name, output in outputs.items()}


def _close(a: Any, b: Any, rules: Compare) -> bool:
    if isinstance(a, int | float) and isinstance(b, int | float):
        return math.isclose(a, b, rel_tol=rules.relative_tolerance, abs_tol=rules.absolute_tolerance)
    return bool(a == b)


_BY_FORM = {"labels": _labels, "entities": _entities, "tensors": _tensors}
