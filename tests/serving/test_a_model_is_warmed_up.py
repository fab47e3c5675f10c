"""The first runs of a model: sizes of batches, reference rows, made-up inputs, and what they find out."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelserve.batching.cost import CostModel
from modelserve.domain.inference import DataType, Signature, TensorSpec
from modelserve.domain.models import Task
from modelserve.errors import InvalidPackage, ModelFailed
from modelserve.serving.logs import EventLog
from modelserve.serving.served import Loaded
from modelserve.serving.warmup import made_up, reference_questions, warm_up


@pytest.fixture
async def loaded(serve: Any) -> Loaded:
    async with serve(text=True) as server:
        found: Loaded = server.loaded
    return found


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EventLog]:
    with (tmp_path / "events").open("wb") as file:
        yield EventLog(file.fileno())


def referring(loaded: Loaded, folder: Path, *lines: str) -> Loaded:
    path = folder / "reference.jsonl"
    path.write_text("\n".join(lines))
    return replace(loaded, package=replace(loaded.package, reference=path))


async def test_batches_of_every_size_are_run(loaded: Loaded, log: EventLog) -> None:
    warm_up(loaded, 8, log, CostModel())
    assert list(dict.fromkeys(loaded.model.rows)) == [1, 2, 4, 8]  # type: ignore[attr-defined]


async def test_what_a_run_takes_is_known_afterwards(loaded: Loaded, log: EventLog) -> None:
    cost = CostModel()
    warm_up(loaded, 8, log, cost)
    assert 0 < cost.seconds(1) < 1


async def test_the_packages_own_rows_come_first(loaded: Loaded, log: EventLog, tmp_path: Path) -> None:
    rows = [json.dumps({"text": "x" * n, "entities": []}) for n in range(1, 10)]
    warm_up(referring(loaded, tmp_path, *rows), 4, log, CostModel())
    assert loaded.model.rows[:4] == [1] * 4  # type: ignore[attr-defined]
    assert list(dict.fromkeys(loaded.model.rows)) == [1, 2, 4]  # type: ignore[attr-defined]


@pytest.mark.parametrize("line", ["{", "[]", '{"image": "x"}', "7"])
async def test_a_reference_row_of_another_shape_is_named(
    loaded: Loaded, log: EventLog, tmp_path: Path, line: str
) -> None:
    with pytest.raises(InvalidPackage, match=r"reference\.jsonl, line 2"):
        warm_up(referring(loaded, tmp_path, '{"text": "a"}', line), 4, log, CostModel())


async def test_a_model_that_fails_on_its_own_reference_rows_is_unfit(
    loaded: Loaded, log: EventLog, tmp_path: Path
) -> None:
    with pytest.raises(InvalidPackage, match="reference rows"):
        warm_up(referring(loaded, tmp_path, '{"text": "refuse"}'), 4, log, CostModel())


async def test_a_failure_on_made_up_inputs_is_only_told(
    loaded: Loaded, log: EventLog, tmp_path: Path, monkeypatch: Any
) -> None:
    def fail(*_: Any) -> Any:
        raise ModelFailed("needs at least 20 tokens")

    monkeypatch.setattr(loaded.model, "predict", fail)
    warm_up(loaded, 4, log, CostModel())
    (event,) = (json.loads(line) for line in (tmp_path / "events").read_text().splitlines())
    assert (event["event"], event["message"]) == ("warm_up_failed", "needs at least 20 tokens")


async def test_images_are_read_from_base64(loaded: Loaded, tmp_path: Path) -> None:
    line = json.dumps({"image": base64.b64encode(b"png").decode(), "label": "7"})
    package = referring(loaded, tmp_path, line, "").package
    assert list(reference_questions(replace(package, task=Task.IMAGE_CLASSIFICATION))) == [b"png"]


async def test_inputs_are_made_up_for_every_type_and_shape(loaded: Loaded, monkeypatch: Any) -> None:
    specs = (
        TensorSpec("image", DataType.FP32, (-1, 3, -1, -1)),
        TensorSpec("ids", DataType.INT64, (-1, -1)),
        TensorSpec("words", DataType.BYTES, (2, 3)),
        TensorSpec("scalar", DataType.BOOL, ()),
    )
    monkeypatch.setattr(loaded.model, "signature", Signature(specs, ()))
    tensors = made_up(loaded)
    assert {name: data.shape for name, data in tensors.items()} == {
        "image": (1, 3, 224, 224), "ids": (1, 16), "words": (2, 3), "scalar": (),
    }  # fmt: skip
    assert tensors["ids"].dtype == np.int64
