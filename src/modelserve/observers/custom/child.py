"""The process in which a custom function runs: calls on standard input, answers on standard output.

What the function prints goes to standard error, where the controller's log takes it. The process lives no
longer than the controller, however that ends.
"""

from __future__ import annotations

import json
import os
import pkgutil
import sys
from collections.abc import Callable
from typing import Any

from modelserve._kit.processes import end_with
from modelserve._kit.quiet import silence


def main() -> None:
    silence()
    end_with(int(sys.argv[2]))
    calls = json.load(sys.stdin)
    out = os.dup(1)
    os.dup2(2, 1)
    told = _answers(sys.argv[1], calls)
    with os.fdopen(out, "w") as answer:
        json.dump(told, answer, default=_plain)


def _answers(name: str, calls: list[dict[str, str]]) -> Any:
    try:
        tell: Callable[..., Any] = pkgutil.resolve_name(name)
    except Exception as error:
        return {"error": f"can't be imported: {type(error).__name__}: {error}"}
    return [_call(tell, call) for call in calls]


def _call(tell: Callable[..., Any], call: dict[str, str]) -> Any:
    try:
        return tell(**call)
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


def _plain(value: Any) -> Any:
    """numpy's numbers, and whatever else knows its plain Python value; a word for anything else."""
    item = getattr(value, "item", None)
    return item() if callable(item) else f"a {type(value).__name__}"


if __name__ == "__main__":
    main()
