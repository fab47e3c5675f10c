"""One process of a load test: ``python -m modelserve.loadtest.worker``.

It reads its plan as a line of JSON from stdin and says ``{"open": n}`` when its connections are there; it
reads the time at which all processes begin; it says twice a second what came in, and at last its tally.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from typing import Any

import uvloop

from modelserve._kit.quiet import silence
from modelserve.loadtest import buckets
from modelserve.loadtest.loops import Loop, loop_for
from modelserve.loadtest.plans import BEAT, Plan


def say(**fields: Any) -> None:
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


async def work(plan: Plan) -> None:
    loop = loop_for(plan)
    try:
        await asyncio.wait_for(loop.open(), plan.timeout)
    except (OSError, TimeoutError) as error:
        say(failed=str(error) or f"no connection within {plan.timeout:g} s")
        return
    say(open=plan.clients)
    begin = float(await asyncio.to_thread(sys.stdin.readline))
    beat = asyncio.ensure_future(_beat(loop, begin + plan.warm_up))
    used = time.process_time()
    tally = await loop.run(begin)
    tally.busy.append((time.process_time() - used) / (time.monotonic() - begin))
    beat.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await beat
    say(tally=tally.as_json())


async def _beat(loop: Loop, begin: float) -> None:
    """Fold what was gathered, so that the lists stay short, and tell it."""
    while True:
        await asyncio.sleep(BEAT)
        good, bad = buckets.empty(), 0
        for outcome, cell in loop.tally.cells.items():
            cell.served.fold()
            new = cell.waited.fold()
            good, bad = (good + new, bad) if outcome.good else (good, bad + int(new.sum()))
        loop.tally.late.fold()
        say(seconds=time.monotonic() - begin, good=buckets.sparse(good), bad=bad)


def main() -> None:
    silence()
    plan = Plan.from_json(sys.stdin.readline())
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work(plan))


if __name__ == "__main__":
    main()
