"""``python -m examples.demo``: exits 0 only if every rollout ended as it should and no client was hurt.

"Not hurt" means: no request failed, but for those that the erroring version itself answered with an error.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import time

from rich.console import Console

from examples.demo.platform import Platform
from examples.demo.report import Outcome, table
from examples.demo.story import BAD, FIRST, GOOD, MODELS, RATES, ROOT, Chapter
from examples.demo.traffic import Tally, Traffic, samples
from modelserve.cli.shadow_view import report

HOME = ROOT / ".modelserve" / "demo"
PATIENCE = 150.0
"""Seconds after which a rollout that is not decided fails the demo."""
POLL = 0.4

console = Console(highlight=False, soft_wrap=True)
if not console.is_terminal:
    console.width = 140


async def main() -> int:
    started = time.monotonic()
    shutil.rmtree(HOME, ignore_errors=True)
    platform = Platform(HOME)
    await platform.up()
    console.print(f"[bold]ModelServe is up[/] at {platform.door}")
    try:
        outcomes, tallies = await _play(platform)
    finally:
        await platform.down()
    console.print(table(outcomes))
    return _judge(outcomes, tallies, time.monotonic() - started)


async def _play(platform: Platform) -> tuple[list[Outcome], dict[str, Tally]]:
    console.print("\n[bold]1. Two services[/]")
    await asyncio.gather(*(_first(platform, chapter) for chapter in FIRST))
    traffic = {
        chapter.service: Traffic(
            platform.door, chapter.service, samples(MODELS / chapter.package), RATES[chapter.service]
        )
        for chapter in FIRST
    }
    for stream in traffic.values():
        stream.start()
    rates = " and ".join(f"{rate:.0f} requests/s to {name}" for name, rate in RATES.items())
    console.print(f"   {rates} from now on")
    try:
        console.print("\n[bold]2. Two good versions, at the same time[/]")
        outcomes = list(await asyncio.gather(*(_roll_out(platform, c, traffic) for c in GOOD)))
        console.print("\n[bold]3. Three bad versions, one after the other[/]")
        for chapter in BAD:
            outcomes.append(await _roll_out(platform, chapter, traffic))
    finally:
        await asyncio.gather(*(stream.stop() for stream in traffic.values()))
    return outcomes, {name: stream.tally for name, stream in traffic.items()}


async def _first(platform: Platform, chapter: Chapter) -> None:
    await platform.apply(chapter.spec())
    rollout = await _decided(platform, chapter, show=False)
    console.print(f"   {rollout['candidate']} serves {chapter.package}")


async def _roll_out(platform: Platform, chapter: Chapter, traffic: dict[str, Traffic]) -> Outcome:
    tally = traffic[chapter.service].tally
    sent, failed = tally.sent, tally.failed.total()
    started = time.monotonic()
    await platform.apply(chapter.spec())
    rollout = await _decided(platform, chapter, show=True)
    seconds = time.monotonic() - started
    if chapter.harm == "wrong":
        asked = ("shadow", "diff", chapter.service, "--limit", "2", "--json")
        console.print(report(await platform.run(*asked)))
    await asyncio.sleep(POLL)  # let the last answers arrive before they are counted
    candidate = rollout["candidate"]
    return Outcome(
        chapter=chapter,
        rollout=rollout,
        seconds=seconds,
        requests=tally.sent - sent,
        suffered=_suffered(chapter, tally, candidate),
        failed=tally.failed.total() - failed,
        harm_rate=_harm_rate(chapter, tally, rollout),
    )


async def _decided(platform: Platform, chapter: Chapter, *, show: bool) -> dict[str, object]:
    """Follow a rollout, telling what changes, until it is promoted or over."""
    deadline = time.monotonic() + PATIENCE
    told = ""
    while True:
        rollout = await platform.rollout(chapter.service)
        told = _tell(rollout, told) if show else told
        if rollout["done"] or rollout["phase"] == "probation":
            return rollout
        if time.monotonic() > deadline:
            console.print(f"   [red]{rollout['candidate']} is undecided after {PATIENCE:.0f} s[/]")
            return rollout
        await asyncio.sleep(POLL)


def _tell(rollout: dict[str, object], told: str) -> str:
    news = f"{rollout['candidate']}: {rollout['phase']} {float(str(rollout['weight'])):.0%}"
    if news != told:
        console.print(f"   {time.strftime('%H:%M:%S')}  {news}  [dim]{rollout['reason']}[/]")
    return news


def _suffered(chapter: Chapter, tally: Tally, candidate: str) -> int:
    if chapter.harm == "failed":
        return tally.failed[candidate]
    if chapter.harm == "slow":
        return tally.slow[candidate]
    return tally.answered[candidate]  # none: what answers wrongly is found in the shadow stage


def _harm_rate(chapter: Chapter, tally: Tally, rollout: dict[str, object]) -> float:
    totals: dict[str, int] = rollout["totals"]  # type: ignore[assignment]
    if chapter.harm == "wrong":
        return totals.get("disagreements", 0) / max(1, totals.get("pairs", 0))
    candidate = str(rollout["candidate"])
    answers = tally.answered[candidate] + tally.failed[candidate]
    bad = tally.failed[candidate] if chapter.harm == "failed" else tally.slow[candidate]
    return bad / max(1, answers)


def _judge(outcomes: list[Outcome], tallies: dict[str, Tally], seconds: float) -> int:
    own = {o.rollout["candidate"] for o in outcomes if o.chapter.harm == "failed" and o.chapter in BAD}
    hurt = sum(n for tally in tallies.values() for who, n in tally.failed.items() if who not in own)
    sent = sum(tally.sent for tally in tallies.values())
    by_itself = sum(n for tally in tallies.values() for who, n in tally.failed.items() if who in own)
    console.print(
        f"{sent} requests in {seconds:.0f} s; {by_itself} failed by the erroring version, {hurt} otherwise"
    )
    for name, tally in tallies.items():
        if tally.first_failure:
            console.print(f"[dim]first failure of {name}: {tally.first_failure}[/]")
    good = hurt == 0 and all(outcome.as_it_should for outcome in outcomes)
    console.print("[bold green]as it should be[/]" if good else "[bold red]not as it should be[/]")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
