"""``make bench-serving``: ModelServe's model server beside onnxruntime alone and beside other servers.

All run the same ONNX file on this machine and are asked by the same load generator, one at a time, in turns.
Ratios are medians over rounds. Triton and KServe are not among the servers: they could not be had where this
was written.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from benchmarks.serving import report
from benchmarks.serving.cases import CASES
from benchmarks.serving.lineup import Effort, say
from benchmarks.serving.results import Result
from benchmarks.serving.servers import PEERS

ASKED_FOR = {"memory"}
"""Cases that run only when they are named."""
QUICK_REQUESTS = 20_000


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    rounds, seconds = (1, 1.0) if options.quick else (options.rounds, options.seconds)
    requests = min(options.requests, QUICK_REQUESTS) if options.quick else options.requests
    effort = Effort(rounds, seconds, frozenset({"modelserve", *options.servers}), requests, options.before)
    results: list[Result] = []
    for name in options.cases:
        try:
            results.append(CASES[name].run(effort))
        except RuntimeError as error:
            say(f"{name}: {error}")
            continue
        print(results[-1].markdown(), flush=True)
    print(report.summary(results))
    if options.json:
        options.json.write_text(json.dumps(report.as_json(results, effort), indent=1))
    if options.write_docs:
        report.write_docs(results, effort)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__)
    usual = [name for name in CASES if name not in ASKED_FOR]
    parser.add_argument("--cases", type=_among(CASES), default=usual, help=f"of {', '.join(CASES)}")
    parser.add_argument(
        "--servers", type=_among(PEERS), default=PEERS, help=f"peers: {', '.join(PEERS)}; '' for none"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--requests", type=int, default=1_000_000, help="of the case memory")
    parser.add_argument(
        "--before", type=Path, help="another checkout of ModelServe, to take turns with this one"
    )
    parser.add_argument("--quick", action="store_true", help="one round of one second: shows that all runs")
    parser.add_argument("--json", type=Path, help="file for every measurement")
    parser.add_argument("--write-docs", action="store_true", help="write docs/benchmarks/serving.md")
    return parser.parse_args(arguments)


def _among(known: Sequence[str] | dict[str, object]):
    def parse(text: str) -> list[str]:
        names = [name for name in text.split(",") if name]
        if unknown := [name for name in names if name not in known]:
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: not among {', '.join(known)}")
        return names

    return parse


if __name__ == "__main__":
    main()
