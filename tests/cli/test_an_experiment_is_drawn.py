"""How an experiment's results came about, in letters and as a picture."""

from __future__ import annotations

import pytest
from rich.console import Console

from modelserve.cli.experiment_course import drawn
from modelserve.cli.experiment_picture import draw
from modelserve.errors import InvalidInput


def point(outcomes, estimate, width, **more):
    arms = [
        {"name": "control", "outcomes": outcomes // 2, "difference": None},
        {
            "name": "challenger",
            "outcomes": outcomes // 2,
            "difference": {"estimate": estimate, "low": estimate - width, "high": estimate + width},
        },
    ]
    return {"outcomes": outcomes, "arms": arms, "conclusion": "undecided", "winner": ""} | more


RATE = {"name": "accepted", "kind": "rate", "direction": "up", "margin": 0.02}
COURSE = {
    "name": "tone",
    "confidence": 0.95,
    "metrics": [
        RATE
        | {
            "points": [
                *(point(100 * n, 0.1, 0.5 / n) for n in range(1, 10)),
                point(1000, 0.1, 0.05, conclusion="winner", winner="challenger"),
            ]
        },
        RATE | {"name": "bought", "points": []},
    ],
}


def shown(course, width=32, **options):
    console = Console(width=width, highlight=False, soft_wrap=True, emoji=False, **options)
    with console.capture() as caught:
        console.print(drawn(course, width))
    return "\n".join(line.rstrip() for line in caught.get().splitlines())


CHART = """\
tone: limits that hold at all times together, 95% confidence

accepted: challenger minus control, points
     +36.8  ││││
            ││││││
            ││││││││││
            ││││││││││││││││││││
            ●●●●●●●●●●●●●●●●●●●●
         0  ││││││││││││││──────
            ││││││
            ││││
            ││
            ││
     -36.8  ││
  outcomes  1              1,000
accepted ends with: winner: challenger
bought: no outcome yet"""


def test_in_letters_as_wide_as_the_terminal():
    assert shown(COURSE) == CHART


def test_what_is_better_is_green_and_what_is_worse_is_red():
    def colours(direction):
        metric = COURSE["metrics"][0] | {"direction": direction}
        text = shown(COURSE | {"metrics": [metric]}, force_terminal=True, color_system="standard")
        return "\x1b[32m" in text, "\x1b[31m" in text

    assert (colours("up"), colours("down")) == ((True, False), (False, True))
    assert "\x1b" not in shown(COURSE, no_color=True)


def test_a_mean_is_drawn_in_its_own_unit():
    metric = COURSE["metrics"][0] | {"kind": "mean", "name": "length"}
    text = shown(COURSE | {"metrics": [metric]})
    assert "length: challenger minus control\n" in text
    assert "    +0.367  " in text


def test_as_a_picture(tmp_path):
    draw(COURSE, tmp_path / "tone.png")
    assert (tmp_path / "tone.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(InvalidInput, match=r"--out: got '.*tone\.odd': .*odd"):
        draw(COURSE, tmp_path / "tone.odd")
    with pytest.raises(InvalidInput, match="--out: tone has no outcome yet that could be drawn"):
        draw(COURSE | {"metrics": COURSE["metrics"][1:]}, tmp_path / "tone.png")
