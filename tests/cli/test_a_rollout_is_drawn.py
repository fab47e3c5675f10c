"""A rollout over time is drawn in letters and as a picture, and explained in words."""

import re

import pytest
from rich.console import Console

from modelserve.cli.course_picture import draw
from modelserve.cli.course_view import drawn
from modelserve.cli.explain_view import page
from modelserve.errors import InvalidInput

POINTS = [
    {
        "at": 1000.0 + i,
        "seconds": 1.0,
        "stage": "canary",
        "weight": 0.1 if i < 10 else 0.5,
        "candidate": [10, i // 5] if i != 7 else None,
        "stable": [90, 0],
        "evidence": {"error_rate": [i / 19 * 1.1 - 0.1, i / 10 % 1.0], "latency_p99": [-1.0, None]},
    }
    for i in range(20)
]
COURSE = {
    "id": "5f3a90c1",
    "service": "m",
    "stable": "m-00001",
    "candidate": "m-00002",
    "phase": "rolled back",
    "looks": {"made": 20, "kept": 20},
    "transitions": [
        {"at": 999.0, "after": "canary", "weight": 0.1, "reason": "m-00002 is ready", "metric": ""},
        {"at": 1009.0, "after": "canary", "weight": 0.5, "reason": "evidence suffices; a", "metric": ""},
        {"at": 1019.0, "after": "rolled back", "weight": 0.0, "reason": "errors", "metric": "error_rate"},
    ],
    "points": POINTS,
}
EXPLAINED = {
    "rollout": {"id": "5f3a90c1aaaa", "stable": None, "candidate": "m-00002", "phase": "canary"},
    "same": False,
    "verdict": "judged again: 2 looks, and not all is as it was recorded",
    "differences": [{"look": 1, "what": "verdict", "words": "look 1: [odd] words"}],
    "differences_in_all": 3,
    "notes": ["part of it was decided by another judge"],
    "chapters": [
        {
            "title": "the candidate answers 10 % of the requests",
            "from": 1000.0,
            "to": None,
            "looks": 1,
            "seen": ["candidate: 1 of 10 requests failed (10 %)", "no request at all"],
            "missing": ["stable could not be seen in 1 of 1 look"],
            "ended_by": "",
            "then": "",
            "why": "so far so good",
            "evidence": [{"metric": "error_rate", "harm": 1.2, "words": "worse 300 of 200"}],
        }
    ],
}


def shown(what, width: int = 80, **options) -> str:
    console = Console(width=width, highlight=False, soft_wrap=True, emoji=False, **options)
    with console.capture() as caught:
        console.print(what)
    text = re.sub(r"\d\d:\d\d:\d\d", "hh:mm:ss", caught.get())
    return "\n".join(line.rstrip() for line in text.splitlines())


def test_in_letters_as_wide_as_the_terminal():
    assert shown(drawn(COURSE, 57)) == "\n".join(
        [
            "m-00002 against m-00001: rolled back",
            "weight       ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄  50% at last",
            "evidence that the candidate is worse: rolls back when the column is full",
            "error_rate      ▁▁▁▁▁▁▁▁▂▂▂▃▃▃▄▄▄▅▅▅▆▆▆▇▇▇█  100% at last",
            "latency_p99                                  0% at last",
            "evidence that it is within the margin: promotes when all that are asked for are full",
            "error_rate    ▁▁▁▂▂▃▄▄▄▄▅▆▆▇  ▁▁▁▂▂▃▄▄▄▅▅▆▇  90% at last",
            "latency_p99                                  not asked",
            "requests a second",
            "candidate    ███████████ ██████████████████  ≤ 10/s",
            "stable       ██████████████████████████████  ≤ 90/s",
            "failures a second",
            "candidate           ▂▂▂▂ ▂▂▂▅▅▅▅▅▅▅▅███████  ≤ 3/s",
            "stable                                       ≤ 0/s",
            "hh:mm:ss                   1              2",
            "1  hh:mm:ss  canary, 50 %: evidence suffices",
            "2  hh:mm:ss  rolled back, 0 %: errors",
        ]
    )


@pytest.mark.parametrize("width", [10, 60, 120, 400])
def test_in_letters_that_fit(width):
    lines = shown(drawn(COURSE, width), 1000).splitlines()
    bars = [line for line in lines if line.startswith(("weight", "error_rate", "candidate", "stable"))]
    assert max(map(len, bars)) <= max(width, 47)


def test_in_colours_unless_they_are_not_wanted(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[31m" in shown(drawn(COURSE, 60), force_terminal=True, color_system="standard")
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[31m" not in shown(drawn(COURSE, 60), force_terminal=True, color_system="standard")


def test_in_letters_although_there_is_next_to_nothing():
    assert shown(drawn(COURSE | {"points": []}, 60)).endswith("no look that is kept can be drawn")
    assert "weight" in shown(drawn(COURSE | {"points": POINTS[:1]}, 60))
    silent = [point | {"seconds": 0.0, "candidate": None, "evidence": {}} for point in POINTS]
    assert "weight" in shown(drawn(COURSE | {"points": silent}, 60))


@pytest.mark.parametrize("points", [POINTS, POINTS[:1], [point | {"evidence": {}} for point in POINTS]])
def test_as_a_picture(tmp_path, points):
    draw(COURSE | {"points": points}, tmp_path / "rollout.png")
    assert (tmp_path / "rollout.png").read_bytes().startswith(b"\x89PNG")


def test_as_a_picture_only_where_that_is_possible(tmp_path):
    with pytest.raises(InvalidInput, match="no look of m-00002 is kept"):
        draw(COURSE | {"points": []}, tmp_path / "rollout.png")
    with pytest.raises(InvalidInput, match=r"--out: got .*rollout\.odd"):
        draw(COURSE, tmp_path / "rollout.odd")
    with pytest.raises(InvalidInput, match="No such file"):
        draw(COURSE, tmp_path / "nowhere" / "rollout.png")


def test_and_explained_in_words():
    assert shown(page(EXPLAINED)) == "\n".join(
        [
            "m-00002 against nothing: canary   rollout 5f3a90c1",
            "judged again: 2 looks, and not all is as it was recorded",
            "  look 1: [odd] words",
            "  and 2 more",
            "note: part of it was decided by another judge",
            "",
            "1. the candidate answers 10 % of the requests   hh:mm:ss to now, 1 look",
            "   seen      candidate: 1 of 10 requests failed (10 %)",
            "             no request at all",
            "   missing   stable could not be seen in 1 of 1 look",
            "   evidence  error_rate: worse 300 of 200",
            "   why       so far so good",
        ]
    )
