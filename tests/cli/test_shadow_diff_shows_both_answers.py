"""``shadow diff`` shows both answers side by side, with and without colours, and trusts no client's text."""

import io
from typing import Any

import pytest
from rich.console import Console

from modelserve.cli.shadow_view import printable, report, summary
from modelserve.control.shadow_api import view
from modelserve.domain.differences import Difference
from modelserve.domain.services import Compare
from modelserve.judge.comparison import compare
from modelserve.observers.differences import Differing

TOTALS = {"pairs": 300, "disagreements": 41, "kind_boundary": 22, "kind_type": 9, "sampled": 310}


def entities(*spans: tuple[str, int, int]) -> dict[str, Any]:
    return {"kind": "entities", "items": [[list(span) for span in spans]]}


def found(stable: Any, candidate: Any, asked: Any = None, noisy: bool = False) -> dict[str, Any]:
    difference = compare(stable, candidate, Compare())
    one = Differing("r-1", 0.0, difference, noisy, asked, stable, candidate, 200 if candidate else 500)
    about = {"service": "ner", "stable": "ner-00001", "candidate": "ner-00002", "totals": TOTALS}
    return about | {"inputs": asked is not None, "differences": [view(one)]}


def shown(told: dict[str, Any], **console: Any) -> str:
    out = io.StringIO()
    Console(file=out, width=200, highlight=False, **console).print(report(told))
    return out.getvalue()


def text(*items: str) -> dict[str, Any]:
    return {"kind": "texts", "items": list(items)}


MERKEL = found(
    entities(("PER", 0, 13), ("LOC", 22, 27)),
    entities(("ORG", 7, 13), ("LOC", 22, 27)),
    text("Angela Merkel visited Paris."),
)


def test_entities_stand_in_their_text():
    lines = shown(MERKEL).splitlines()
    assert lines[0].startswith("ner-00002 against ner-00001: 41 of 300 pairs disagree (boundary 22, type 9)")
    assert "   stable     [Angela Merkel PER] visited [Paris LOC]." in lines
    assert "   candidate  Angela [Merkel ORG] visited [Paris LOC]." in lines


def test_colours_are_added_and_nothing_else(monkeypatch):
    coloured = shown(MERKEL, force_terminal=True, color_system="standard")
    assert "\x1b[1;33m[Angela Merkel PER]" in coloured
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[1;33m" not in shown(MERKEL, force_terminal=True)


def test_without_the_text_places_are_told():
    told = shown(found(entities(("PER", 0, 4)), entities()))
    assert "stable     [PER 0-4]" in told
    assert "candidate  nothing" in told
    assert "what was asked is not kept" in told


@pytest.mark.parametrize(
    ("stable", "candidate", "lines"),
    [
        (
            {"kind": "labels", "items": ["7"], "scores": [0.93]},
            {"kind": "labels", "items": ["1"], "scores": [0.61]},
            ("stable     7 (0.93)", "candidate  1 (0.61)"),
        ),
        (
            {"kind": "tensors", "outputs": {"y": {"shape": [8], "data": [0.5] * 8}}},
            {"kind": "tensors", "outputs": {"y": {"shape": [8], "data": [0.5, *[0.75] * 7]}}},
            ("stable     y[1] = 0.5  y[2] = 0.5", "candidate  y[1] = 0.75  y[2] = 0.75", "and 2 more"),
        ),
        (entities(("PER", 0, 4)), None, ("candidate  failed with status 500",)),
        (entities(("PER", 0, 4)), {"kind": "labels", "items": ["7"]}, ("stable     [PER 0-4]", "7")),
    ],
)
def test_every_form_of_answer_is_shown(stable, candidate, lines):
    told = shown(found(stable, candidate, {"kind": "images", "items": [{"bytes": 3412, "digest": "ab12"}]}))
    assert "an image of 3,412 bytes, digest ab12" in told or stable["kind"] == "entities"
    assert all(line in told for line in lines)


def test_a_clients_text_cant_steer_the_terminal():
    evil = "\x1b]0;gotcha\x07 Ann\n\u202e"
    told = shown(found(entities(("PER", 12, 15)), entities(), text(evil)))
    assert "\x1b" not in told
    assert "\u202e" not in told
    assert len(printable(evil)) == len(evil)


def test_an_answer_that_reaches_beyond_the_text_that_was_kept_is_no_trouble():
    told = shown(found(entities(("PER", 0, 3), ("LOC", 900, 905)), entities(("PER", 0, 3)), text("Ann")))
    assert "[Ann PER]" in told


def test_the_summary_tells_what_was_not_compared():
    totals = {
        "pairs": 5,
        "disagreements": 1,
        "repeats": 4,
        "noise": 2,
        "late": 1,
        "unmatched": 3,
        "sampled": 10,
    }
    assert summary(totals) == (
        "1 of 5 pairs disagree; stable differs from itself in 2 of 4; 1 late; 3 without a partner; "
        "2 copies not answered, or not yet"
    )


def test_nothing_to_show_is_said():
    told = MERKEL | {"differences": []}
    assert "nothing that differs" in shown(told)
    assert Difference().is_none
