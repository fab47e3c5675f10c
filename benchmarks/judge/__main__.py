"""``make bench-judge``: how often the judge is wrong and how fast it is right, beside its goals and others.

Exits with 0 also when goals fall short; the table says which. With the default of runs it takes about ten
minutes on two idle cores.
"""

from __future__ import annotations

import argparse
import json
import secrets
import sys
import time

from benchmarks.judge.beyond import costs, paired
from benchmarks.judge.cases import cases
from benchmarks.judge.report import Report
from benchmarks.judge.runs import run


def main() -> None:
    given = _arguments()
    chosen = [case for case in cases() if given.only in case.name]
    if not chosen:
        names = "\n  ".join(case.name for case in cases())
        sys.exit(f"--only: no case's name holds {given.only!r}; there are\n  {names}")
    begun = time.monotonic()
    found = run(chosen, given.runs, given.seed, given.processes, given.minutes)
    more = [] if given.only else [*paired(given.runs, given.seed), *costs()]
    report = Report.of(chosen, found, more, given.seed, time.monotonic() - begun)
    print(json.dumps(report.document(), indent=2) if given.json else report.text())
    if given.write_docs:
        report.write_page()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-judge BENCH=...", description=__doc__)
    parser.add_argument(
        "--runs", type=int, default=500, help="of the cases about false rollbacks; others less"
    )
    parser.add_argument("--only", default="", help="cases whose name holds this text")
    parser.add_argument(
        "--seed", type=int, default=secrets.randbelow(10**9), help="the first; fresh by default"
    )
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=15.0, help="the longest; cases then have fewer runs")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument("--write-docs", action="store_true", help="write docs/benchmarks/judge.md anew")
    return parser.parse_args()


if __name__ == "__main__":
    main()
