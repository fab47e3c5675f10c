"""An owner's comparison runs in a process of its own: what it does there stays there."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from modelserve._kit.waiting import wait_until
from modelserve.domain.services import Shadow
from modelserve.errors import Unavailable
from modelserve.observers.comparing import Comparing
from tests.processes import lives

PAIR = ({"kind": "labels", "items": ["7"]}, {"kind": "labels", "items": ["1"]})
SAME = (PAIR[0], PAIR[0])

Rules = Callable[[str], Shadow]


@pytest.fixture
def rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rules:
    """The rules with a function of this body."""

    def of(body: str) -> Shadow:
        (tmp_path / "acme_checks.py").write_text(f"def differ(stable, candidate):\n    {body}\n")
        return Shadow.model_validate({"compare": {"python": "acme_checks:differ"}})

    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path(__file__).parents[2] / 'src'}")
    return of


@pytest.fixture
async def comparing() -> AsyncIterator[Comparing]:
    made = Comparing(allowed=True, patience=60)
    yield made
    await made.close()


async def test_its_scores_are_taken(comparing: Comparing, rules: Rules) -> None:
    shadow = rules("print('noise'); return 0.5 * (stable['items'] != candidate['items'])")
    found = await comparing.compare([PAIR, SAME, (PAIR[0], None)], shadow)
    assert [(dict(one.kinds), one.score) for one in found] == [
        ({"custom": 1}, 0.5),
        ({}, 0.0),
        ({"failure": 1}, 1.0),
    ]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("raise KeyError('items')", "KeyError: 'items'"),
        ("return 7", "a number in 0..1"),
        ("return float('nan')", "a number in 0..1"),
        ("return 'much'", "ValueError"),
        ("import os; os._exit(1)", "acme_checks:differ"),
    ],
)
async def test_what_goes_wrong_in_it_is_told_and_compared_again(comparing, rules, body, said) -> None:
    with pytest.raises(Unavailable, match=r"shadow\.compare") as refused:
        await comparing.compare([PAIR], rules(body))
    assert said in refused.value.message
    assert (await comparing.compare([SAME], rules("return 0")))[0].is_none


async def test_one_that_hangs_is_killed_and_holds_nobody_up(comparing: Comparing, rules: Rules) -> None:
    await comparing.compare([SAME], rules("return 0"))
    hanging = Comparing(allowed=True, patience=0.0)
    shadow = rules("import time; time.sleep(3600)")
    with pytest.raises(Unavailable, match=r"imported|longer"):
        await hanging.compare([PAIR], shadow)
    async with asyncio.timeout(30):
        await hanging.close()


async def test_an_answer_that_nobody_waited_for_is_not_the_next_ones(comparing, rules, tmp_path) -> None:
    asked, gate = tmp_path / "asked", tmp_path / "gate"
    shadow = rules(
        f"import pathlib, time; pathlib.Path({str(asked)!r}).touch()\n"
        f"    while not pathlib.Path({str(gate)!r}).exists(): time.sleep(0.01)\n"
        "    return stable != candidate"
    )
    reading = asyncio.create_task(comparing.compare([PAIR], shadow))
    await wait_until(asked.exists, 30, "the function runs")
    reading.cancel()
    await asyncio.wait([reading])
    gate.touch()
    assert (await comparing.compare([SAME], shadow))[0].is_none


async def test_one_that_nobody_asks_ends_and_is_imported_again(rules: Rules, tmp_path: Path) -> None:
    told = tmp_path / "pid"
    comparing = Comparing(allowed=True, patience=60, idle=0.0)
    shadow = rules(f"import os; return not open({str(told)!r}, 'w').write(str(os.getpid()))")
    await comparing.compare([PAIR], shadow)
    await wait_until(lambda: not lives(int(told.read_text())), 30, "its process ends")
    assert (await comparing.compare([PAIR], rules("return 0.5")))[0].score == 0.5
    await comparing.close()


async def test_it_is_not_run_where_the_operator_does_not_allow_code(rules: Rules) -> None:
    with pytest.raises(Unavailable, match="--allow-code"):
        await Comparing().compare([PAIR], rules("return 1"))


async def test_it_outlives_no_controller_that_is_killed(rules: Rules, tmp_path: Path) -> None:
    told = tmp_path / "pid"
    rules(f"import os, time; open({str(told)!r}, 'w').write(str(os.getpid())); time.sleep(3600)")
    controller = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "import asyncio\n"
        "from modelserve.domain.services import Shadow\n"
        "from modelserve.observers.comparing import Comparing\n"
        "rules = Shadow.model_validate({'compare': {'python': 'acme_checks:differ'}})\n"
        "pair = ({'kind': 'labels', 'items': ['7']}, {'kind': 'labels', 'items': ['1']})\n"
        "asyncio.run(Comparing(allowed=True, patience=3600).compare([pair], rules))",
    )
    await wait_until(lambda: told.exists() and told.read_text(), 30, "the function runs")
    controller.kill()
    await controller.wait()
    await wait_until(lambda: not lives(int(told.read_text())), 10, "its process ends")
