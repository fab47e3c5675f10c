"""What speaks for and against requests that share a run: names of axes, and answers alone and in company."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from modelserve.batching.joining import Joiner
from modelserve.batching.sharing import TOGETHER, Sharing, departure, fixed_axis, unlike_axes
from modelserve.domain.inference import DataType, Signature, TensorSpec


def spec(name: str, axis: str | None = "batch", shape: tuple[int, ...] = (-1, 4)) -> TensorSpec:
    return TensorSpec(name, DataType.FP32, shape, first_axis=axis)


NAMELESS = "has no name, so it may not count rows"


@pytest.mark.parametrize(
    ("inputs", "outputs", "told"),
    [
        ([spec("x")], [spec("y")], ""),
        ([spec("x"), spec("z")], [spec("y")], ""),
        (
            [spec("x")],
            [spec("y", "num_selected")],
            'input "x" calls its first axis "batch", and output "y" "num_selected"',
        ),
        (
            [spec("x"), spec("z", "n")],
            [spec("y")],
            'input "x" calls its first axis "batch", and input "z" "n"',
        ),
        ([spec("x", None)], [spec("y", None)], f'the first axis of input "x" {NAMELESS}'),
        ([spec("x")], [spec("y", None)], f'the first axis of output "y" {NAMELESS}'),
        ([spec("x")], [spec("y", shape=(1, 4))], 'the first axis of output "y" is fixed at 1'),
        ([spec("x", shape=())], [spec("y")], 'input "x" has no axes'),
    ],
)  # fmt: skip
def test_where_all_first_axes_have_one_name(inputs: Any, outputs: Any, told: str) -> None:
    signature = Signature(tuple(inputs), tuple(outputs))
    assert unlike_axes(signature) == told
    assert bool(fixed_axis(signature)) is ("fixed" in told or "no axes" in told)


def test_by_any_number_of_rows_where_a_layout_says_that_axis_0_counts_them() -> None:
    x, y = (TensorSpec(name, DataType.FP32, (-1, 4)) for name in "xy")
    assert unlike_axes(Signature((x,), (y,))) == ""


ONE = np.array([[1.0, -200.0, 0.0]], np.float32)
TEXT = np.array([b"a"], object)
INFINITE = np.array([[np.inf, -np.inf, 1]], np.float32)


@pytest.mark.parametrize(
    ("alone", "company", "told"),
    [
        (ONE, ONE, ""),
        (ONE, ONE + 0.01, ""),  # 0.005 % of the largest
        (ONE, ONE + 4, 'output "y" changes in company by 2.00% of its largest value (0.01% may be rounding)'),
        (ONE * 0, ONE * 0 + 1e-6, 'output "y" changes in company by 1e-06 from 0 (0.01% may be rounding)'),
        (ONE, ONE[:, :2], 'output "y" has shape [1, 3] alone and [1, 2] in company'),
        (ONE * np.nan, ONE * np.nan, ""),
        (INFINITE, INFINITE, ""),
        (ONE, ONE * np.nan, 'output "y" changes in company from finite numbers to others, or back'),
        (ONE.astype(np.float16), ONE.astype(np.float16) + 1, ""),  # half precision is coarse
        (np.array([[1, 2]]), np.array([[1, 3]]), 'output "y": 1 of 2 values change in company'),
        (TEXT, TEXT + b"!", 'output "y": 1 of 1 values change in company'),
        (np.array([True]), np.array([True]), ""),
    ],
)  # fmt: skip
def test_where_answers_stay_as_they_were_alone(alone: Any, company: Any, told: str) -> None:
    assert departure({"y": alone}, {"y": company}) == told


def test_as_a_careful_look_tells_where_some_are_no_numbers() -> None:
    alone = np.array([np.nan, np.inf, 1.0, 100.0], np.float32)
    assert departure({"y": alone}, {"y": alone + np.float32(0.001)}) == ""
    assert "by 2.00% of its largest" in departure({"y": alone}, {"y": alone + np.float32(2)})


def test_on_an_accelerator_within_its_coarser_rounding() -> None:
    assert departure({"y": ONE}, {"y": ONE + 1}, coarse=True) == ""


def test_by_nobody_where_it_may_not_be() -> None:
    x, y = spec("x"), spec("y")
    joiner = Joiner(Signature((x,), (y,)), Sharing(False))
    tensors = {"x": np.zeros((5, 4), np.float32)}
    assert not joiner.joinable
    assert joiner.fit(tensors).kind != joiner.fit(tensors).kind
    assert joiner.fit(tensors).rows == 5, "the run costs as much as it has rows"


def test_by_inputs_of_one_length_alone_where_padding_changes_answers() -> None:
    ids = TensorSpec("ids", DataType.INT64, (-1, -1), pad=0)
    signature = Signature((ids,), (spec("y"),))
    short, long = ({"ids": np.ones((1, length), np.int64)} for length in (3, 5))
    apart, together = Joiner(signature, Sharing(True, lengths=False)), Joiner(signature, TOGETHER)
    assert together.fit(short).kind == together.fit(long).kind
    assert apart.fit(short).kind == apart.fit(short).kind != apart.fit(long).kind


def test_although_inputs_that_run_alone_may_disagree_about_their_first_axis() -> None:
    boxes, scores = spec("boxes", "n"), spec("scores", "batch")
    joiner = Joiner(Signature((boxes, scores), (spec("y"),)), Sharing(False))
    fit = joiner.fit({"boxes": np.zeros((7, 4)), "scores": np.zeros((2, 4))})
    assert fit.rows == 7
