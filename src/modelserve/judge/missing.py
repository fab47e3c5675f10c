"""No data is neither success nor failure: what holds because it was not seen."""

from __future__ import annotations

from modelserve.domain.guardrails import Guardrail, Metric
from modelserve.domain.rollouts import Decision, Observation, Verdict
from modelserve.judge.case import Case
from modelserve.judge.words import source

PATIENCE = 5.0
"""Seconds without a request (or a compared pair) that are no news."""
MISSED = 5.0
"""Requests that should have come meanwhile: with a small weight, silence alone is no news either."""
UNTOLD = 60.0
"""Seconds after which a source that is never asked, or never has data, is missed."""


def no_data(case: Case) -> Verdict | None:
    seen, kind = case.seen, case.stage.kind
    if kind == "probation":
        return None
    if kind == "shadow":
        missing = "" if seen.pairs is not None else "shadow answers could not be compared in this interval"
    else:
        unseen = [
            name for name, arm in (("stable", seen.stable), ("candidate", seen.candidate)) if arm is None
        ]
        missing = f"{' and '.join(unseen)} could not be seen in this interval" if unseen else ""
    if missing or (missing := _untold(case)):
        return case.verdict(Decision.HOLD, f"{missing}; that is neither success nor failure")
    silence = case.evidence.silence
    if silence.candidate < PATIENCE or (silence.missed < MISSED and silence.stable < PATIENCE):
        return None
    what = "no shadow answer was compared" if kind == "shadow" else "the candidate got no request"
    return case.verdict(Decision.HOLD, f"{what} for {silence.candidate:,.0f} s: holding until there is data")


def _untold(case: Case) -> str:
    """A required custom guardrail whose source has no data: now, or for a while; empty if there is none.

    Only where it is asked for: copies may show in no figure of the owner's.
    """
    if case.stage.kind != "canary":
        return ""
    silences = {family.key: family.silence for family in case.evidence.families}
    silences |= {limit.key: limit.silence for limit in case.evidence.limits}
    for guardrail in (*(rule.guardrail for rule in case.made.outcomes), *case.made.limits):
        needed = guardrail.is_required and guardrail.metric is Metric.CUSTOM
        if needed and (_empty(case.seen, guardrail.key) or silences[guardrail.key] >= UNTOLD):
            return f"no data for {_named(case.seen, guardrail)}"
    return ""


def _named(seen: Observation, guardrail: Guardrail) -> str:
    """The guardrail with what its source said, where the observer noted that; else with its source."""
    said = (note for note in seen.notes if note.startswith(f"{guardrail.key}: "))
    return next(said, f"{guardrail.key} from {source(guardrail)}")


def _empty(seen: Observation, key: str) -> bool:
    """Whether the source was asked in this interval and had nothing to say."""
    if key in seen.values:
        return seen.values[key] is None
    return key in seen.outcomes and seen.outcomes[key].candidate is None
