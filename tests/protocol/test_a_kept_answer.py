"""A kept answer: what comes out of a cache is what went in, or nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from modelserve.domain.inference import Entity, InferenceRequest, InferenceResponse, Label
from modelserve.protocol.kept import Unkeepable, context, key, pack, unpack

SHARED = context({"digest": "a"})
KEY = "0" * 64
NUMBERS = hnp.arrays(
    st.sampled_from(["?", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8"])
    | st.sampled_from(["f2", "f4", "f8"]),
    hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
    elements={"allow_nan": False, "allow_infinity": False},
)
STRINGS = st.lists(st.binary(max_size=20), max_size=6).map(
    lambda values: np.array([*values, None], object)[:-1]
)
TENSORS = st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=8), NUMBERS | STRINGS, max_size=4)
TEXT, SCORE = st.text(st.characters(codec="utf-8"), max_size=10), st.floats(0, 1)
ENTITIES = st.builds(Entity, TEXT, TEXT, SCORE, st.integers(0, 99), st.integers(0, 99))
PARTS = st.lists(ENTITIES | st.builds(Label, TEXT, SCORE), max_size=4).map(tuple)
ANSWERS = st.lists(PARTS, max_size=4).map(tuple)
ITEMS = st.lists(st.text(max_size=6) | st.binary(max_size=6), min_size=1, max_size=4).map(tuple)


def question(**content):
    return InferenceRequest("m", "r", **content)


def response(**content):
    return InferenceResponse("m", "m-1", "r", **content)


def same(a, b):
    assert list(a) == list(b)
    for name in a:
        assert (a[name].dtype, a[name].shape) == (b[name].dtype, b[name].shape)
        assert a[name].tolist() == b[name].tolist()
        assert a[name].dtype.kind == "O" or a[name].tobytes() == b[name].tobytes()


@given(TENSORS)
def test_of_tensors_comes_out_as_it_went_in(tensors):
    found, answers = unpack(KEY, pack(KEY, response(tensors=tensors)))

    same(found, tensors)
    assert answers is None


@given(ANSWERS)
def test_of_entities_or_labels_comes_out_as_it_went_in(answers):
    assert unpack(KEY, pack(KEY, response(answers=answers))) == (None, answers)


@given(TENSORS, st.data())
def test_that_is_damaged_anywhere_is_nothing(tensors, data):
    value = bytearray(pack(KEY, response(tensors=tensors)))
    place = data.draw(st.integers(0, len(value) - 1))
    value[place] ^= data.draw(st.integers(1, 255))

    assert unpack(KEY, bytes(value)) is None
    assert unpack(KEY, bytes(value[:place])) is None


@given(st.binary(max_size=200))
def test_that_somebody_else_wrote_is_nothing(value):
    assert unpack(KEY, value) is None


def test_under_another_key_is_nothing():
    assert unpack("1" * 64, pack(KEY, response(answers=((),)))) is None


@pytest.mark.parametrize(
    "content",
    [
        {"tensors": {"y": np.array([1.0, np.nan])}},
        {"tensors": {"y": np.array([np.inf], np.float16)}},
        {"tensors": {"y": np.array(["text"], object)}},
        {"answers": ((Label("a", float("nan")),),)},
        {"answers": ((Label("a", np.float32(0.5)),),)},
        {"answers": (({"of": "another kind"},),)},
        {"answers": ((Entity("half \ud800", "X", 0.5, 0, 1),),)},
    ],
)
def test_is_not_made_of_what_can_not_be_given_again_exactly(content):
    with pytest.raises(Unkeepable):
        pack(KEY, response(**content))


@given(TENSORS)
def test_is_found_whatever_the_order_and_layout_of_the_inputs(tensors):
    turned = {name: tensors[name] for name in reversed(tensors)}
    spaced = {name: np.array(data, order="F") for name, data in tensors.items()}

    assert len({key(SHARED, question(tensors=each)) for each in (tensors, turned, spaced)}) == 1


@given(TENSORS, TENSORS)
def test_is_not_found_by_other_tensors(one, other):
    def content(data):
        return data.dtype.str, data.shape, data.tolist() if data.dtype == object else data.tobytes()

    def told(tensors):
        return {name: content(data) for name, data in tensors.items()}

    keys = {key(SHARED, question(tensors=one)), key(SHARED, question(tensors=other))}
    assert (len(keys) == 1) == (told(one) == told(other))


@given(ITEMS, ITEMS)
def test_is_not_found_by_other_items(one, other):
    keys = {key(SHARED, question(items=one)), key(SHARED, question(items=other))}
    assert (len(keys) == 1) == (one == other)


def test_is_not_found_by_what_only_looks_alike():
    def tensor(values, dtype, shape):
        return question(tensors={"x": np.array(values, dtype).reshape(shape)})

    questions = [
        tensor([0, 0], "f4", (1, 2)), tensor([0, 0], "f4", (2, 1)), tensor([0, 0], "i4", (1, 2)),
        tensor([0, -0.0], "f4", (1, 2)), tensor([0], "f8", (1, 1)),
        question(tensors={"y": np.zeros((1, 2), "f4")}), question(items=("a", "b")), question(items=("ab",)),
        question(items=("b", "a")), question(items=(b"a", b"b")), question(items=("a", "b"), outputs=("y",)),
        question(tensors={"x": np.zeros((1, 2), "f4")}, outputs=("y",)),
        question(tensors={"x": np.zeros((1, 2), "f4")}, outputs=("y", "z")),
    ]  # fmt: skip
    assert len({key(SHARED, each) for each in questions}) == len(questions)
    assert key(SHARED, questions[0]) != key(context({"digest": "b"}), questions[0])


def test_has_no_key_where_a_tensor_holds_anything_but_bytes():
    with pytest.raises(Unkeepable, match="a tensor of str"):
        key(SHARED, question(tensors={"x": np.array(["text"], object)}))
