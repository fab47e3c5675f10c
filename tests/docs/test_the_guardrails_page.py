"""The page about guardrails: its files are good specs, and its numbers are those of the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from modelserve._kit.named_counts import IDLE, MOST
from modelserve.domain.guardrails import DEFAULT_GUARDRAILS
from modelserve.manifest import parse
from modelserve.observers.custom.http_json import HttpSource
from modelserve.observers.custom.prometheus import PrometheusSource
from modelserve.observers.custom.python import PythonSource
from modelserve.observers.custom.web import LARGEST
from modelserve.serving.segments import LONGEST, SIZES

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "guardrails.md").read_text()
FILES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("number", range(len(FILES)))
def test_its_files_are_good_specs(number: int) -> None:
    assert parse(FILES[number], "guardrails.md").spec.rollout.judge.guardrails


def test_its_numbers_are_those_of_the_code() -> None:
    assert f"**{MOST} parts**" in PAGE
    assert f"idle for {IDLE:,} requests" in PAGE
    assert f"cut to {LONGEST} characters" in PAGE
    assert f"`{SIZES[3]}`" in PAGE
    sources = f"every {HttpSource.interval:g} s (functions: {PythonSource.interval:g} s)"
    assert sources in PAGE
    others = f"Prometheus: {PrometheusSource.patience:g} s, functions: {PythonSource.patience:g} s"
    assert f"longer than {HttpSource.patience:g} s ({others})" in PAGE
    assert f"{LARGEST // 1024} KiB" in PAGE


def test_its_first_file_says_the_default() -> None:
    said = parse(FILES[0], "guardrails.md").spec.rollout.judge.guardrails
    assert {(g.metric, g.margin, g.max_ratio or 1.25, g.min_increase or 0.001) for g in said} == {
        (g.metric, g.margin, 1.25, 0.001) for g in DEFAULT_GUARDRAILS
    }
