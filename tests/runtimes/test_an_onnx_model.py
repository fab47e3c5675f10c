"""An ONNX model in memory ..."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from onnx import helper

from modelserve.domain.inference import DataType, TensorSpec
from modelserve.errors import InvalidInput, InvalidPackage, ModelFailed
from modelserve.runtimes import runtime_for


def ids(*values):
    return {"ids": np.array([values], np.int64)}


def failure(model, tensors):
    with pytest.raises(ModelFailed) as caught:
        model.predict(tensors)
    return caught.value.message


def test_answers_with_every_output(lookup):
    answers = lookup.predict(ids(3, 0))
    assert list(answers) == ["row", "double"]
    np.testing.assert_array_equal(answers["row"], [[[6, 7], [0, 1]]])
    np.testing.assert_array_equal(answers["double"], [[[12, 14], [0, 2]]])


def test_answers_only_what_is_asked_for(lookup):
    assert list(lookup.predict(ids(1), outputs=["double"])) == ["double"]


def test_takes_batches_of_any_size_and_length(lookup):
    for rows, length in [(1, 1), (5, 2), (2, 9), (1, 1)]:
        answers = lookup.predict({"ids": np.ones((rows, length), np.int64)})
        assert answers["row"].shape == (rows, length, 2)


def test_is_shared_by_threads(lookup):
    start = threading.Barrier(4)

    def work(value):
        start.wait()
        return [lookup.predict(ids(value), ["row"])["row"][0, 0, 0] for _ in range(200)]

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(work, range(4)))
    assert answers == [[2 * value] * 200 for value in range(4)]


def test_fails_with_the_words_of_the_engine(lookup):
    message = failure(lookup, ids(5000))
    assert message.startswith("the model failed: Non-zero status code returned while running Gather node.")
    assert "Name:'/embeddings/Gather'" in message
    assert "idx=5000 must be within the inclusive range [-4,3]" in message


def test_works_on_after_a_failure(lookup):
    failure(lookup, ids(5000))
    assert lookup.predict(ids(1))["row"][0, 0, 0] == 2


def test_fails_on_one_line_without_source_locations(package):
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"], name="/m")]
    x, y = (TensorSpec(name, DataType.FP32, (-1, -1)) for name in "xy")
    model = runtime_for("onnx").load(package(nodes, [x], [y], {"w": np.ones((3, 2), np.float32)}))
    message = failure(model, {"x": np.ones((1, 4), np.float32)})
    assert message.endswith("Name:'/m' Status Message: MatMul dimension mismatch")


@pytest.mark.parametrize("tensors", [{}, {"ids": np.zeros((1, 1))}, {"ids": np.zeros(1, np.int64)}])
def test_fails_as_a_model_for_tensors_that_nobody_checked(lookup, tensors):
    message = failure(lookup, tensors)
    assert "\n" not in message
    assert len(message) < 400


def test_fails_once_it_is_closed(lookup):
    lookup.close()
    assert failure(lookup, ids(1)) == "the model has been closed"


def test_is_refused_when_the_file_has_become_something_else(package):
    spec = TensorSpec("x", DataType.FP32, (-1,))
    fit = package([helper.make_node("Identity", ["x"], ["y"])], [spec], [replace(spec, name="y")])
    fit.model_file.write_bytes(b"ruined")
    with pytest.raises(InvalidPackage, match=r"model\.onnx: ONNX Runtime refuses it: Protobuf"):
        runtime_for("onnx").load(fit)


class TestText:
    def test_goes_in_and_out_as_bytes(self, echo):
        given = np.array([["Ærø".encode(), b""], ["🦆\0!".encode(), b"x"]], object)
        answer = echo.predict({"text": given})["same"]
        assert answer.dtype == object
        np.testing.assert_array_equal(answer, given)

    def test_must_be_utf_8(self, echo):
        with pytest.raises(InvalidInput, match=r"input 'text': b'ok\\xff' is not UTF-8"):
            echo.predict({"text": np.array([[b"ok\xff"]], object)})

    def test_may_be_an_empty_batch(self, echo):
        assert echo.predict({"text": np.empty((0, 2), object)})["same"].shape == (0, 2)
