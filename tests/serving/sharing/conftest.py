"""A model as it is after the real loading and warm-up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from modelserve.batching.cost import CostModel
from modelserve.serving.loading import load
from modelserve.serving.logs import EventLog
from modelserve.serving.served import Loaded
from modelserve.serving.warming.warmup import warm_up
from modelserve.settings import ServerSettings

Warm = Callable[..., Loaded]


@pytest.fixture
def warm(tmp_path: Path) -> Iterator[Warm]:
    """``warm(package, **settings)``: the model as it is after its warm-up."""
    loaded: list[Loaded] = []
    with (tmp_path / "events").open("wb") as file:
        log = EventLog(file.fileno())

        def make(package: Path, max_batch: int = 4, **settings: Any) -> Loaded:
            told = {"service": "m", "revision": "m-1", "package": package, "threads": 1, **settings}
            loaded.append(load(ServerSettings.model_validate(told)))
            return warm_up(loaded[-1], max_batch, log, CostModel())

        yield make
    for each in loaded:
        each.model.close()
