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
from modelserve.batching.sharing import Sharing
from modelserve.domain.inference import DataType, Signature, TensorSpec
from modelserve.domain.models import Task
from modelserve.errors import EngineDied, InvalidPackage, ModelFailed, Unavailable
from modelserve.serving.logs import EventLog
from modelserve.serving.served import Loaded
from modelserve.serving.warming.longest import try_longest
from modelserve.serving.warming.samples import made_up, reference_questions
from modelserve.serving.warming.trial import Trial
from modelserve.serving.warming.warmup import warm_up

WAY_OUT = "if each row is answered by itself, say `batching: true`"


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


@pytest.fixture
def failing(loaded: Loaded, monkeypatch: Any) -> Loaded:
    def fail(*_: Any) -> Any:
        raise ModelFailed("needs at least 20 tokens")

    monkeypatch.setattr(loaded.model, "predict", fail)
    return loaded


def events(folder: Path) -> list[tuple[str, str]]:
    lines = (json.loads(line) for line in (folder / "events").read_text().splitlines())
    return [(line["event"], line.get("message") or line["reason"]) for line in lines]


async def test_a_failure_on_inputs_whose_shapes_were_guessed_is_told(
    failing: Loaded, log: EventLog, tmp_path: Path
) -> None:
    warmed = warm_up(failing, 4, log, CostModel())
    assert events(tmp_path) == [
        ("warm_up_failed", "the warm-up failed: needs at least 20 tokens"),
        ("runs_alone", f"the warm-up failed: needs at least 20 tokens; {WAY_OUT}"),
    ]
    assert warmed.remarks == (
        "the warm-up failed: needs at least 20 tokens",
        f"every request runs alone and whole: the warm-up failed: needs at least 20 tokens; {WAY_OUT}",
    )


def of_exact_shape(loaded: Loaded) -> Loaded:
    x, y = TensorSpec("x", DataType.FP32, (-1, 4)), TensorSpec("y", DataType.FP32, (-1, 4))
    loaded.model.signature = Signature((x,), (y,))
    return loaded


async def test_a_failure_on_inputs_of_exactly_the_signatures_shapes_fails_the_load(
    failing: Loaded, log: EventLog
) -> None:
    with pytest.raises(InvalidPackage, match=r"made up from its signature: needs at least 20 tokens; .*skip"):
        warm_up(of_exact_shape(failing), 4, log, CostModel())


async def test_a_model_that_is_not_to_be_warmed_up_is_not_run(loaded: Loaded, log: EventLog) -> None:
    skipping = replace(loaded, package=replace(loaded.package, warm_up=False))
    warmed = warm_up(skipping, 4, log, CostModel())
    assert loaded.model.rows == []  # type: ignore[attr-defined]
    assert warmed.sharing == Sharing(False, False, f"it was not warmed up (warmUp: skip); {WAY_OUT}")


async def test_an_engine_that_is_away_fails_no_load(loaded: Loaded, log: EventLog, monkeypatch: Any) -> None:
    def away(*_: Any) -> Any:
        raise Unavailable("the other server is not there")

    monkeypatch.setattr(loaded.model, "predict", away)
    warmed = warm_up(of_exact_shape(loaded), 4, log, CostModel())
    assert warmed.doubts == ("the warm-up failed: the other server is not there",)


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
    for tensors in list(made_up(loaded))[-3:]:  # the first is a text of the model's task
        assert {name: data.shape for name, data in tensors.items()} == {
            "image": (1, 3, 224, 224), "ids": (1, 16), "words": (2, 3), "scalar": (),
        }  # fmt: skip
        assert tensors["ids"].dtype == np.int64


class LongTask:
    """Says that texts of so many letters are let through."""

    def __init__(self, letters: int) -> None:
        self.most = letters

    def prepare(self, item: str | bytes) -> Any:
        return {"x": np.zeros((1, len(item)), np.float32)}, item

    def of_length(self, length: int) -> Any:
        return {"x": np.full((1, length), 7, np.float32)}

    def finish(self, outputs: Any, context: Any) -> Any:
        raise NotImplementedError


async def test_the_longest_text_is_tried(loaded: Loaded, log: EventLog) -> None:
    warm_up(replace(loaded, task=LongTask(300)), 2, log, CostModel())
    assert loaded.model.seen[-1] == 7  # type: ignore[attr-defined]


async def test_the_longest_text_is_not_tried_where_it_takes_long(loaded: Loaded) -> None:
    try_longest(replace(loaded, task=LongTask(3)), CostModel(fixed=10.0))
    assert loaded.model.rows == []  # type: ignore[attr-defined]


async def test_a_model_that_fails_on_the_longest_text_is_unfit(
    loaded: Loaded, log: EventLog, monkeypatch: Any
) -> None:
    predict = loaded.model.predict

    def fail(tensors: Any, outputs: Any = ()) -> Any:
        if tensors["x"].shape[1] > 60:
            raise ModelFailed("the model failed: idx=61 must be within the inclusive range [-61,60]")
        return predict(tensors)

    monkeypatch.setattr(loaded.model, "predict", fail)
    warm_up(replace(loaded, task=LongTask(60)), 2, log, CostModel())
    with pytest.raises(InvalidPackage, match=r"fails on 97 tokens.*idx=61.*write limits\.maxLength: 60 into"):
        warm_up(replace(loaded, task=LongTask(97)), 2, log, CostModel())


class DiesOf:
    """A model of tokens whose engine ends over texts that begin late."""

    steady = True
    signature = Signature(
        (
            TensorSpec("input_ids", DataType.INT64, (-1, -1), 0),
            TensorSpec("attention_mask", DataType.INT64, (-1, -1), 0),
        ),
        (TensorSpec("y", DataType.INT64, (-1, -1)),),
    )

    def predict(self, tensors: Any, outputs: Any = ()) -> Any:
        if not tensors["attention_mask"][0, 0]:
            raise EngineDied("the engine's process ended by signal 11")
        return {"y": tensors["input_ids"] * tensors["attention_mask"]}

    def close(self) -> None: ...


def test_an_engine_that_dies_of_a_text_that_begins_late_is_told() -> None:
    model = DiesOf()
    row = {"input_ids": np.arange(1, 9).reshape(1, 8), "attention_mask": np.ones((1, 8), np.int64)}
    trial = Trial(model, row, model.predict(row), coarse=False, gaps=frozenset())
    sharing = trial.lengths()
    assert not sharing.lengths
    assert "ended by signal 11" in sharing.why
