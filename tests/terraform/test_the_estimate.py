"""The estimate of what an environment costs ..."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from tests.terraform.tools import ENVIRONMENTS, ROOT, TREE


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, TREE / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


Planned = Callable[[str], dict[str, Any]]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_stands_in_the_docs(planned: Planned, environment: str) -> None:
    total = round(sum(script("estimate").estimate(planned(environment)).values()))
    page = (ROOT / "docs/how-to/aws.md").read_text()
    assert re.search(rf"\| {environment} \| {total:,} \|", page), f"{environment} costs {total:,} USD a month"


def test_says_what_each_saving_is_worth(planned: Planned) -> None:
    saved = script("estimate").savings(planned("dev"))
    page = (ROOT / "docs/how-to/aws.md").read_text()
    for name, usd in saved.items():
        assert usd > 0
        assert re.search(rf"\| {name} \| {round(usd):,} \|", page), (
            f"{name} is worth {round(usd):,} USD a month"
        )


def test_counts_each_machine_at_its_usual_size(planned: Planned) -> None:
    estimate, prices = script("estimate"), json.loads((TREE / "prices.json").read_text())
    spot = 2 * 730 * max(prices["instances"][kind] for kind in ("t3.large", "t3a.large", "m5.large")) * 0.35
    assert estimate.estimate(planned("dev"))["machines"] == pytest.approx(spot)


def test_knows_the_price_of_every_machine_in_use(planned: Planned) -> None:
    for environment in ENVIRONMENTS:
        assert script("estimate").estimate(planned(environment))["control plane"] == pytest.approx(73)


def test_feeds_the_manifests(planned: Planned) -> None:
    outputs = {
        "cluster": {"value": {"name": "modelserve-dev", "endpoint": "https://x"}},
        "platform": {"value": {"name": "modelserve-dev", "buckets": {"models": "m"}, "cache": None}},
    }
    assert list(script("outputs").lines(outputs)) == [
        "BUCKETS_MODELS=m",
        "NAME=modelserve-dev",
        "CLUSTER=modelserve-dev",
    ]
