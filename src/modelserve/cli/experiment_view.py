"""How an experiment looks in a terminal."""

from __future__ import annotations

from typing import Any

from modelserve.cli.output import console, say, share, table
from modelserve.experiments.planning import Plan

Json = dict[str, Any]


def show_state(found: Json) -> None:
    """Its arms with their participants, and whether these were divided as told."""
    say(f"{found['name']} on {found['service']}: {found['phase']} ({found['reason']})")
    expected = found["split"]["expected"]
    rows = [
        (
            arm["name"],
            arm["revision"],
            share(round(arm["weight"], 4)),
            found["exposures"].get(arm["name"], 0),
            f"{expected[arm['name']]:.0f}",
        )
        for arm in found["arms"]
    ]
    console.print(table(("ARM", "REVISION", "WEIGHT", "PARTICIPANTS", "EXPECTED"), rows))
    if not found["split"]["fair"]:
        say("the participants are not divided as told: something loses or repeats them; trust nothing below")
    if found["crossed"]:
        say(f"{found['crossed']} participants met another arm later; they count for their first one")


def show_metric(metric: Json) -> None:
    """One metric of all arms; a rate and its differences in percent and percentage points."""
    form = _percent if metric["kind"] == "rate" else _plain
    rows = [
        (arm["name"], arm["outcomes"], _interval(arm["value"], form), _interval(arm["difference"], form))
        for arm in metric["arms"]
    ]
    better = "more" if metric["direction"] == "up" else "less"
    say("")
    say(f"{metric['name']} ({better} is better, margin {form(metric['margin'])}): {_said(metric)}")
    console.print(table(("ARM", "OUTCOMES", "ESTIMATE", "DIFFERENCE TO THE CONTROL"), rows))


def show_conclusion(found: Json) -> None:
    say("")
    certainty = f"at {share(found['confidence'])} confidence, whenever you look"
    say(f"{_said(found)} {certainty}")


def show_plan(plan: Plan, seconds: float | None) -> None:
    rows: list[tuple[str, object]] = [
        ("participants in each arm", plan.per_arm),
        ("participants in all", plan.total),
    ]
    if seconds is not None:
        rows.append(("time", _duration(seconds)))
    if plan.equivalence is not None:
        rows.append(("in each arm, to show no difference beyond the margin", plan.equivalence))
    rows.append(("in each arm, for a test looked at once and never before", plan.once))
    console.print(table(("WHAT", "NEEDED"), rows))


def _said(found: Json) -> str:
    return f"winner: {found['winner']}" if found["winner"] else str(found["conclusion"])


def _interval(found: Json | None, form: Any) -> str:
    if found is None:
        return ""
    estimate = "–" if found["estimate"] is None else form(found["estimate"])
    return f"{estimate}  [{form(found['low'])}, {form(found['high'])}]"


def _percent(value: float) -> str:
    return f"{value * 100:.2f} %"


def _plain(value: float) -> str:
    return f"{value:.4g}"


def _duration(seconds: float) -> str:
    for unit, size in (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} seconds"
