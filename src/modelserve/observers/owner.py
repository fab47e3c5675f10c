"""``python -m modelserve.observers.owner module:function PARENT``: an owner's comparison in its own process.

A line on stdin is a JSON list of pairs of answers; the line that follows on stdout has a score for each, or
``{"error": "..."}``. What the function itself prints goes nowhere. The process lives no longer than PARENT,
the controller, however that ends and whatever the function does meanwhile.
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

Function = Callable[[Any, Any], Any]


def main() -> int:
    silence()
    end_with(int(sys.argv[2]))
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    function: Function | None = None
    for line in sys.stdin:
        try:
            function = function or pkgutil.resolve_name(sys.argv[1])
            told: Any = [float(function(stable, candidate)) for stable, candidate in json.loads(line)]
        except Exception as error:
            told = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(told), file=answers, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
