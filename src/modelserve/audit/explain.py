"""Whether the judge gives every verdict of a rollout again, and what happened, stage by stage."""

from __future__ import annotations

from typing import Any

from modelserve.audit import compare
from modelserve.audit.keeping import Judges, gaps, not_judged
from modelserve.audit.record import Difference, Record
from modelserve.audit.rejudge import Rejudging
from modelserve.audit.story import Story
from modelserve.errors import InvalidInput
from modelserve.judge import Evidence

DIFFERENCES_TOLD = 20

Json = dict[str, Any]


def explain(record: Record) -> Json:
    """``same`` is whether every verdict and all evidence that is kept came out the same to the last bit.

    The rest is for people: ``differences``, ``notes`` on what could not be looked at, and ``chapters``.
    """
    rejudging, story, judges = Rejudging(record), Story(record), Judges(record)
    differences: list[Difference] = []
    judged = 0
    for step in rejudging.steps():
        story.add(step)
        judges.add(step)
        differences += step.differences
        judged += step.verdict is not None
    differences += [*rejudging.unreadable, *gaps(record), *_end(record, rejudging)]
    return {
        "same": not differences,
        "verdict": _verdict(record, judged, differences),
        "looks": {"made": record.rollout.looks, "kept": len(record.lines), "judged": judged},
        "differences": [_told(d) for d in differences[:DIFFERENCES_TOLD]],
        "differences_in_all": len(differences),
        "notes": [*not_judged(record, judged), *judges.notes()],
        "chapters": story.chapters(),
    }


def _told(difference: Difference) -> Json:
    return {"look": difference.look, "what": difference.what, "words": difference.words}


def _end(record: Record, rejudging: Rejudging) -> list[Difference]:
    """Whether what the rollout holds now is what its last look gave."""
    if rejudging.evidence is None or rejudging.last is None:
        return []
    number, kept = record.rollout.looks - 1, record.rollout.verdict
    found = []
    if other := _other_evidence(record, rejudging.evidence):
        found.append(Difference(number, "evidence", f"the rollout's evidence: {other}"))
    hard = rejudging.last.metric == "hard_failure"  # it ends a rollout without being shown as its verdict
    there = compare.verdict_of_transition(kept, rejudging.last) if kept and not hard else None
    if there is not None:
        found.append(Difference(number, there[0], f"the rollout's verdict: {there[1]}"))
    return found


def _other_evidence(record: Record, found: Evidence) -> str:
    try:
        return compare.evidence(Evidence.load(record.rollout.evidence), found)
    except InvalidInput as error:
        return error.message


def _verdict(record: Record, judged: int, differences: list[Difference]) -> str:
    looks = "1 look" if judged == 1 else f"{judged:,} looks"
    if not record.rollout.looks:
        return "the judge was never asked about this rollout"
    if not judged and not differences:
        return "nothing that could be judged again is kept"
    if not differences:
        return f"judged again: {looks}, the same verdict every time, to the last bit"
    if {difference.what for difference in differences} == {"words"}:
        return f"judged again: {looks}, the same decisions and figures in other words"
    return f"judged again: {looks}, and not all is as it was recorded"
