"""The page about batching: its file is a good spec, its example runs, its numbers are those of the code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx

from modelserve.batching.calls import PASSED
from modelserve.batching.plans import BETTER, NEAR, SIZES
from modelserve.domain.inference import Priority
from modelserve.manifest import parse
from modelserve.serving.calibrating import FEWEST, LARGEST, UNDISTURBED, WORTHWHILE
from modelserve.settings import USUAL_BATCH, ServerSettings

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "batching.md").read_text()


def block(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.S)
    return str(found)


def test_the_example_runs_on_a_server_that_is_told_what_the_file_says(
    start: Any, onnx_models: dict[str, Path]
) -> None:
    spec = parse(block("yaml"), "batching.md").spec.server
    server = start(
        onnx_models["double"], service="double", threads=spec.threads, cores_per_run=spec.cores_per_run,
        max_batch=spec.batching.max_size, max_delay=spec.batching.max_delay, timeout=spec.queue.timeout,
    )  # fmt: skip
    with httpx.Client(base_url=server.ready(), timeout=30) as client:
        exec(block("python"), {"client": client})


def test_the_numbers_are_those_of_the_code() -> None:
    text = " ".join(PAGE.split())
    assert (
        f"passed for at most {PASSED[Priority.NORMAL]:.0f} s and a low one for at most {PASSED[2]:.0f} s"
        in text
    )
    assert f"within {1 - NEAR:.0%}".replace("%", " %") in text
    assert f"above {USUAL_BATCH} only if it is at least {BETTER - 1:.0%}".replace("%", " %") in text
    assert f"... {SIZES[-1]} items" in text
    assert f"about {ServerSettings.model_fields['calibration'].default} s" in text
    assert f"above {LARGEST // 1024**3} GiB" in text
    assert f"within {WORTHWHILE * 1e3:.0f} ms, or takes longer than an eighth" in text
    assert FEWEST == 8
    assert f"more than {1 - UNDISTURBED:.0%}".replace("%", " %") in text
