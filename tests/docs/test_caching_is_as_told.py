"""The page about caching: its file is a good spec, and its example runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx

from modelserve.manifest import parse
from modelserve.stores.cache.base import LARGEST
from modelserve.stores.cache.redis import PATIENCE, PREFIX

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how-to" / "caching.md").read_text()


def block(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.S)
    return str(found)


def test_the_example_runs_on_a_platform_with_the_file(platform: Any, tmp_path: Path) -> None:
    file = tmp_path / "ner.yaml"
    file.write_text(block("yaml").replace("./models", str(ROOT / "models")))
    platform.cli("apply", "-f", str(file))
    platform.wait_for_phase("bert-ner", "stable")
    with httpx.Client(base_url=platform.door, timeout=30) as client:
        exec(block("python"), {"client": client})


def test_the_file_is_a_good_spec() -> None:
    server = parse(block("yaml"), "caching.md").spec.server
    assert server.cache is not None
    assert server.feature_cache is not None


def test_the_numbers_are_those_of_the_code() -> None:
    assert f"above {LARGEST // 1024**2} MiB" in PAGE
    assert f"over {PATIENCE} s" in PAGE
    assert f"begin with `{PREFIX}`" in PAGE
