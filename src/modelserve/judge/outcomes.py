"""Guardrails that are told by outcomes: labels, custom sources, and the parts of a segment.

An outcome is worth 0 (good) to 1 (bad), and an observation brings how many there were of each arm and their
sum. One comparison needs both arms: what came of one arm alone waits for the first of the other. That is no
peeking, since it depends on when outcomes come, not on what they are. What waits is not yet learnt from, so
what is expected of it stays predictable.

*Parts.* A guardrail with a segment tests each part by itself. Parts take their place as they appear, and the
j-th gets 1/(j(j+1)) of the guardrail's budget: whatever there is to come, the weights sum to 1, so the mean
of the parts' e-processes is one (a part that has not appeared holds its weight as 1). From the 50th on they
share one place, as the part ``other``, so that memory stays bounded.

*Probation.* Where both arms still have outcomes (labels come late) they are compared as before; else the
candidate's are held against stable's record.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import log

from modelserve.domain.rollouts import Observation, Outcome, Trials
from modelserve.judge import harm, safety
from modelserve.judge.evidence import Family, Part, Safety, Sums, no_harm, no_safety
from modelserve.judge.plan import Plan, Rule
from modelserve.judge.samples import UNSEEN, View
from modelserve.judge.stage import Stage

MOST_PARTS = 50
OTHER = "other"
_NONE = Trials()


def part_weight(place: int) -> float:
    """Share of a family's budget for the part at ``place``, from 0; ``other`` takes what the rest left."""
    return 1 / (place + 1) if place == MOST_PARTS else 1 / ((place + 1) * (place + 2))


def log_weight(rule: Rule, place: int) -> float:
    """log of the weight that the part at ``place`` has in the mean of all e-values."""
    if rule.guardrail.segment is None:
        return log(rule.share / 2 if rule.paired else rule.share)
    return log(rule.share * part_weight(place))


def called(family: Family, part: Part) -> str:
    """As people read it: ``accuracy``, ``error_rate by tenant=acme``."""
    return f"{family.key}={part.name}" if part.name else family.key


def learn(
    families: tuple[Family, ...], made: Plan, seen: Observation, stage: Stage, restart: bool
) -> tuple[Family, ...]:
    """Add one interval's outcomes; ``restart`` starts every part's evidence afresh as well."""
    if not families:
        return families
    grown = []
    for family, rule in zip(families, made.outcomes, strict=True):
        told = _of(rule, seen.outcomes)
        for name, outcome in told.items():
            family = _with(family, rule, made, name, outcome, stage)
        heard = any(outcome.candidate is not None for outcome in told.values())
        family = replace(family, silence=0.0 if heard else family.silence + seen.seconds)
        grown.append(_restarted(family) if restart else family)
    return tuple(grown)


def enter_step(families: tuple[Family, ...], bound: float) -> tuple[Family, ...]:
    """As for counted guardrails: see :mod:`modelserve.judge.safety`."""
    return tuple(
        replace(
            f, parts=tuple(replace(part, safety=safety.enter_step(part.safety, bound)) for part in f.parts)
        )
        for f in families
    )


def enter_probation(families: tuple[Family, ...]) -> tuple[Family, ...]:
    return tuple(
        replace(f, parts=tuple(replace(part, harm=harm.restart(part.harm)) for part in f.parts))
        for f in families
    )


def _of(rule: Rule, outcomes: Mapping[str, Outcome]) -> dict[str, Outcome]:
    """A rule's outcomes by the name of their part."""
    if rule.guardrail.segment is None:
        return {"": outcomes[rule.key]} if rule.key in outcomes else {}
    prefix = f"{rule.key}="
    return {key.removeprefix(prefix): told for key, told in outcomes.items() if key.startswith(prefix)}


def _with(family: Family, rule: Rule, made: Plan, name: str, seen: Outcome, stage: Stage) -> Family:
    if not _any(seen):
        return family
    names = [part.name for part in family.parts]
    if name not in names and len(names) >= MOST_PARTS:
        name = OTHER
    if name not in names:
        fresh = Part(name, no_harm(rule), no_safety(rule, len(made.weights)))
        return replace(family, parts=(*family.parts, _see(fresh, rule, made, seen, stage)))
    place = names.index(name)
    part = _see(family.parts[place], rule, made, seen, stage)
    return replace(family, parts=(*family.parts[:place], part, *family.parts[place + 1 :]))


def _any(seen: Outcome) -> bool:
    return any(trials is not None and trials.n > 0 for trials in (seen.stable, seen.candidate))


def _see(part: Part, rule: Rule, made: Plan, seen: Outcome, stage: Stage) -> Part:
    """The past is extended last, by what was compared, so that what is expected stays predictable."""
    candidate, stable = seen.candidate or _NONE, seen.stable or _NONE
    both = part.waiting.add(candidate, stable)
    whole = part.whole.add(candidate, stable)
    if stage.kind == "probation" and not stable.n:
        watched = harm.watch(part.harm, rule, _view(candidate), View.of(part.past), part.whole)
        return replace(part, harm=watched, whole=whole)
    if not both.candidate or not both.stable:
        return replace(part, whole=whole, waiting=both)
    views = (
        View(both.stable, both.stable_failures, UNSEEN.slow),
        View(both.candidate, both.candidate_failures, UNSEEN.slow),
        View.of(part.past),
    )
    return replace(
        part,
        harm=harm.compare(part.harm, rule, *views),
        safety=_cleared(part, rule, made, views, stage),
        past=part.past.add_outcomes(Trials(both.stable, both.stable_failures)),
        whole=whole,
        waiting=Sums(),
    )


def _cleared(part: Part, rule: Rule, made: Plan, views: tuple[View, View, View], stage: Stage) -> Safety:
    if stage.kind == "probation":
        return part.safety
    return safety.compare(part.safety, rule, made.ahead(stage), *views)


def _view(seen: Trials) -> View:
    return View(seen.n, seen.bad, UNSEEN.slow)


def _restarted(family: Family) -> Family:
    parts = (
        replace(part, harm=harm.restart(part.harm), safety=safety.restart(part.safety))
        for part in family.parts
    )
    return replace(family, parts=tuple(parts))
