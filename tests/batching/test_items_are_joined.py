"""Joining items to a batch and splitting its outputs: nothing is swapped, lost, or padded for nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelserve.batching.joining import Joiner, merge
from modelserve.batching.sharing import TOGETHER, UNTRIED
from modelserve.domain.inference import Array, DataType, Signature, Tensors, TensorSpec
from modelserve.errors import InvalidInput, ModelFailed

PAD = 9
TOKENS = Signature(
    inputs=(
        TensorSpec("ids", DataType.INT64, (-1, -1), pad=PAD),
        TensorSpec("mask", DataType.INT64, (-1, -1), pad=0),
    ),
    outputs=(TensorSpec("logits", DataType.FP32, (-1, -1, 2)), TensorSpec("pooled", DataType.FP32, (-1, 2))),
)
IMAGES = Signature((TensorSpec("pixels", DataType.FP32, (-1, 3, 8, 8)),), ())


def tokens(rows: int, length: int, value: int = 1) -> Tensors:
    ids = np.full((rows, length), value, np.int64)
    return {"ids": ids, "mask": np.ones_like(ids)}


def model(batch: Tensors) -> Tensors:
    """One logit pair for each token, and a sum over the tokens that are not padding."""
    logits = np.stack([batch["ids"], batch["mask"]], axis=-1).astype(np.float32)
    summed: Array = (batch["ids"] * batch["mask"]).sum(axis=1)
    return {"logits": logits, "pooled": np.stack([summed, summed], axis=-1).astype(np.float32)}


def test_shorter_items_are_filled_up_with_their_pad_value() -> None:
    joiner, parts = Joiner(TOKENS, TOGETHER), [tokens(1, 3), tokens(2, 5, 2)]
    batch = joiner.assemble(parts, [joiner.fit(part) for part in parts])
    assert batch["ids"].tolist() == [[1, 1, 1, PAD, PAD], [2] * 5, [2] * 5]
    assert batch["mask"].tolist() == [[1, 1, 1, 0, 0], [1] * 5, [1] * 5]


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 16), st.integers(1, 99)), min_size=1, max_size=8))
def test_every_item_gets_its_own_outputs_as_if_it_had_run_alone(items: list[tuple[int, int, int]]) -> None:
    joiner, parts = Joiner(TOKENS, TOGETHER), [tokens(*item) for item in items]
    fits = [joiner.fit(part) for part in parts]
    assert len({fit.kind for fit in fits}) == 1
    pieces = joiner.split(model(joiner.assemble(parts, fits)), fits)
    for part, piece in zip(parts, pieces, strict=True):
        alone = model(part)
        assert piece.keys() == alone.keys()
        for name, expected in alone.items():
            np.testing.assert_array_equal(piece[name], expected)


def test_items_of_any_length_may_share_a_batch_and_say_what_a_row_costs() -> None:
    joiner = Joiner(TOKENS, TOGETHER)
    short, long = joiner.fit(tokens(1, 10)), joiner.fit(tokens(3, 100))
    assert short.kind == long.kind
    assert (short.size, short.cost, long.size, long.cost) == (10, 10, 100, 300)


def test_other_types_shapes_and_wanted_outputs_do_not_share_a_batch() -> None:
    joiner = Joiner(Signature((TensorSpec("pixels", DataType.FP32, (-1, 3, -1, -1)),), ()), TOGETHER)
    pixels = {"pixels": np.zeros((1, 3, 8, 8), np.float32)}
    kinds = [
        joiner.fit(pixels).kind,
        joiner.fit({"pixels": np.zeros((1, 3, 8, 9), np.float32)}).kind,
        joiner.fit({"pixels": np.zeros((1, 3, 8, 8))}).kind,
        joiner.fit(pixels, ("scores",)).kind,
    ]
    assert len(set(kinds)) == 4
    assert joiner.fit(pixels).kind == joiner.fit({"pixels": np.ones((5, 3, 8, 8), np.float32)}).kind
    assert joiner.fit(pixels).size == 64


def test_items_of_a_signature_without_free_axes_all_fit_together() -> None:
    joiner = Joiner(IMAGES, TOGETHER)
    one, five = (joiner.fit({"pixels": np.ones((rows, 3, 8, 8), np.float32)}) for rows in (1, 5))
    assert one.kind == five.kind != joiner.fit({"pixels": np.ones((1, 3, 8, 8))}, ("scores",)).kind
    assert (one.cost, five.cost) == (1, 5)


def test_padded_inputs_that_disagree_in_length_are_refused() -> None:
    odd = {"ids": np.zeros((1, 3), np.int64), "mask": np.zeros((1, 4), np.int64)}
    one_row = tuple(replace(spec, shape=(1, -1)) for spec in TOKENS.inputs)
    for signature in (TOKENS, Signature(one_row, TOKENS.outputs)):
        with pytest.raises(InvalidInput, match='counts tokens and must agree: "ids" has 3, "mask" has 4'):
            Joiner(signature, TOGETHER).fit(odd)


def test_inputs_that_disagree_about_their_rows_are_refused() -> None:
    with pytest.raises(InvalidInput, match='"ids" has 1, "mask" has 2'):
        Joiner(TOKENS, TOGETHER).fit({"ids": np.zeros((1, 3)), "mask": np.zeros((2, 3))})


def test_outputs_without_a_row_for_each_row_cannot_be_split() -> None:
    joiner, parts = Joiner(TOKENS, TOGETHER), [tokens(1, 3), tokens(1, 3)]
    fits = [joiner.fit(part) for part in parts]
    with pytest.raises(ModelFailed, match=r'"pooled": shape \[1, 2\] for a batch of 2 rows'):
        joiner.split({"pooled": np.zeros((1, 2))}, fits)


@pytest.mark.parametrize("shape", [(), (2, 2), (0, 2)])
def test_an_item_by_itself_gets_as_many_rows_as_it_has_where_rows_are_independent(
    shape: tuple[int, ...],
) -> None:
    outputs, together, alone = {"pooled": np.zeros(shape)}, Joiner(TOKENS, TOGETHER), Joiner(TOKENS, UNTRIED)
    with pytest.raises(ModelFailed, match=r'"pooled": shape .* for a batch of 1 rows'):
        together.split(outputs, [together.fit(tokens(1, 3))])
    assert alone.split(outputs, [alone.fit(tokens(1, 3))]) == [outputs]


@pytest.mark.parametrize("shape", [(1, 3), (), (4,)])
def test_a_model_with_a_fixed_first_axis_runs_each_item_alone(shape: tuple[int, ...]) -> None:
    joiner = Joiner(Signature((TensorSpec("x", DataType.FP32, shape),), ()), TOGETHER)
    tensors = {"x": np.zeros(shape, np.float32)}
    assert joiner.fit(tensors).kind != joiner.fit(tensors).kind
    assert joiner.fit(tensors).rows == 1


@given(st.integers(1, 40), st.integers(1, 9))
def test_chunks_hold_every_row_once_in_order(rows: int, most: int) -> None:
    whole = {"pixels": np.arange(rows * 192).reshape(rows, 3, 8, 8)}
    chunks = Joiner.chunks(whole, most)
    assert all(1 <= len(chunk["pixels"]) <= most for chunk in chunks)
    np.testing.assert_array_equal(merge(chunks)["pixels"], whole["pixels"])


def test_chunks_whose_outputs_do_not_fit_together_are_the_models_failure() -> None:
    with pytest.raises(ModelFailed, match="differ in shape"):
        merge([{"y": np.zeros((1, 2))}, {"y": np.zeros((1, 3))}])
