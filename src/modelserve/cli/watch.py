"""One rollout as a live table, or as one line."""

from __future__ import annotations

import json
import math
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.text import Text

from modelserve.cli.output import counts, rate, share, table
from modelserve.cli.shadow_view import summary

BAR = 24

View = dict[str, Any]


def panel(view: View) -> RenderableType:
    """Weights, evidence against its bounds, requests and failures, verdict with its reasons."""
    head = Text.from_markup(
        f"[bold]{view['candidate']}[/] against {view['stable'] or 'nothing'}: "
        f"[{_colour(view)}]{view['phase']}[/]{' (paused)' if view['paused'] else ''}"
    )
    totals = view["totals"]
    lines: list[RenderableType] = [
        head,
        Text(f"weight     {_bar(view['weight'])} {share(view['weight'])} of {_steps(view)}"),
        Text(f"failed     candidate {counts(totals, 'candidate')}   stable {counts(totals, 'stable')}"),
    ]
    if totals.get("pairs"):
        lines.append(Text(f"shadow     {summary(totals)}"))
    if view["verdict"]:
        lines += _evidence(view["verdict"])
    lines.append(Text.from_markup(f"[dim]{escape(view['reason'])}[/]"))
    return Group(*lines)


def _evidence(verdict: View) -> list[RenderableType]:
    rows = [
        (
            reading["metric"],
            _measure(reading, "stable"),
            _measure(reading, "candidate"),
            _progress(reading["harm"], reading["harm_bound"]),
            _progress(reading["safety"], reading["safety_bound"]) if reading["demanded"] else "not asked",
            "" if reading["needed"] is None else str(reading["needed"]),
        )
        for reading in verdict["readings"]
    ]
    columns = ("GUARDRAIL", "STABLE", "CANDIDATE", "HARM", "SAFETY", "STILL NEEDED")
    grid = [table(columns, rows)] if rows else []
    return [*grid, Text(f"verdict    {verdict['decision']}: {'; '.join(verdict['reasons'])}")]


def _measure(reading: View, arm: str) -> str:
    value = reading[arm]
    match reading["unit"]:
        case _ if value is None:
            return "–"
        case "seconds":
            return f"{value * 1000:.1f} ms"
        case "number":
            return f"{value:.4g}"
    return rate(value)


def _progress(value: float | None, bound: float | None) -> str:
    """How far the evidence has come, of the bound that decides: both are logarithms."""
    if value is None or bound is None or not math.isfinite(bound) or bound <= 0:
        return "–"
    part = min(1.0, max(0.0, value / bound))
    return f"{'█' * round(part * 10):<10} {part * 100:3.0f} %"


def _bar(weight: float) -> str:
    filled = round(weight * BAR)
    return "█" * filled + "·" * (BAR - filled)


def _steps(view: View) -> str:
    return " → ".join(share(step) for step in view["steps"])


def _colour(view: View) -> str:
    return {"stable": "green", "probation": "green", "rolled back": "red", "held": "yellow"}.get(
        view["phase"], "cyan"
    )


def line(view: View, *, as_json: bool) -> str:
    """One change on one line."""
    if as_json:
        return json.dumps(view, ensure_ascii=False)
    verdict = view["verdict"]
    why = "; ".join(verdict["reasons"]) if verdict and not view["done"] else view["reason"]
    return (
        f"{view['candidate']} {view['phase']} {share(view['weight'])} "
        f"failed {counts(view['totals'], 'candidate')}: {why}"
    )
