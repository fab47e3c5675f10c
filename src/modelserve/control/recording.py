"""What is written of every look, so that its verdict can be given again.

The line of a look goes to the records in the transaction that writes what followed from it. With every
transition, and with every so many looks, goes what the look stood on: the evidence before it, the rules, and
which judge it was.
"""

from __future__ import annotations

import hashlib
import platform as machine
from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import lru_cache
from importlib import import_module, resources
from typing import Any

from modelserve import __version__
from modelserve.domain.rollouts import Observation, Rollout, Transition, Verdict
from modelserve.judge import Stage
from modelserve.judge.evidence import VERSION
from modelserve.rollout.looks import GROUND_EVERY, Ground, Look, encode, policy_digest, seal, to_json

JUDGING = ("modelserve.judge", "modelserve.statistics", "modelserve.domain.latency")
"""What a verdict is computed by."""


def look_at(before: Rollout, stage: Stage, seen: Observation, verdict: Verdict, now: float) -> Look:
    """``before`` is the rollout as it was when the judge looked, its weight that of ``stage``."""
    return Look(
        at=now,
        stage=asdict(stage),
        observation=seen,
        number=before.looks,
        decision=verdict.decision,
        metric=verdict.metric,
        weight=stage.weight,
        seal=seal(verdict),
    )


def written(
    look: Look | None,
    before: Rollout,
    after: Rollout,
    transition: Transition | None,
    rules: Mapping[str, Any],
) -> tuple[Rollout, Transition | None, str]:
    """What to save of a tick: the state, its transition, and the look's line; empty where nobody looked.

    ``rules`` are the rollout's, as they were applied.
    """
    if look is None:
        return after, transition, ""
    after = replace(after, looks=look.number + 1)
    due = look.number % GROUND_EVERY == 0
    if transition is None and not due:
        return after, None, encode(look)
    grounded = replace(look, ground=Ground(before.evidence, policy_digest(rules), this_judge()))
    if transition is not None:
        grounded = replace(grounded, weight=transition.weight)
        transition = replace(transition, look=to_json(grounded))
    return after, transition, encode(grounded if due else replace(grounded, ground=None))


@lru_cache(maxsize=1)
def this_judge() -> dict[str, str]:
    """Versions, and a digest of the code: an equal one gives equal verdicts, on the same kind of machine."""
    return {
        "modelserve": __version__,
        "evidence": str(VERSION),
        "code": _digest_of_code(),
        "machine": f"{machine.machine()}, {' '.join(machine.libc_ver())}, Python {machine.python_version()}",
    }


def _digest_of_code() -> str:
    found = hashlib.blake2b(digest_size=8)
    for name in JUDGING:
        module = import_module(name)
        if hasattr(module, "__path__"):
            files = sorted(resources.files(name).iterdir(), key=lambda file: file.name)
            texts = [file.read_bytes() for file in files if file.name.endswith(".py")]
        else:
            package, _, leaf = name.rpartition(".")
            texts = [resources.files(package).joinpath(f"{leaf}.py").read_bytes()]
        for text in texts:
            found.update(text)
    return found.hexdigest()
