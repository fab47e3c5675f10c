"""KServe v1: rows and columns, in and out, and elements that are bytes."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest

from modelserve.domain.inference import DataType, Entity, InferenceResponse, Signature, Tensors, TensorSpec
from modelserve.domain.models import Task
from modelserve.errors import InvalidInput, ModelFailed, PayloadTooLarge
from modelserve.protocol import kserve_v1
from modelserve.protocol.kserve_v1 import PredictCall

ONE = Signature((TensorSpec("x", DataType.FP32, (-1, 2)),), ())
TWO = Signature((*ONE.inputs, TensorSpec("k", DataType.INT64, (-1,))), ())
STRINGS = Signature((TensorSpec("s", DataType.BYTES, (-1,)),), ())
TEXT, IMAGE = Task.TOKEN_CLASSIFICATION, Task.IMAGE_CLASSIFICATION
ROWS, COLUMNS = PredictCall(), PredictCall(rows=False)
ADA = Entity("Ada", "PER", 0.5, 0, 3)


def b64(content: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(content).decode()}


def tensors(signature: Signature, **body: Any) -> Tensors:
    found = kserve_v1.decode_tensors(json.dumps(body).encode(), signature).tensors
    assert found is not None
    return found


def items(task: Task, **body: Any) -> PredictCall:
    return kserve_v1.decode_items(json.dumps(body).encode(), task, 3)


def said(call: PredictCall, **outputs: Any) -> Any:
    return json.loads(kserve_v1.encode(InferenceResponse("m", "m-00001", "r", tensors=outputs), call).body)


def test_instances_become_tensors() -> None:
    single = tensors(ONE, instances=[[1, 2], [3, 4]])
    np.testing.assert_array_equal(single["x"], np.array([[1, 2], [3, 4]], np.float32))
    assert tensors(ONE, instances=[{"x": [1, 2]}])["x"].tolist() == [[1, 2]]
    named = tensors(TWO, instances=[{"x": [1, 2], "k": 7}, {"x": [3, 4], "k": 8}])
    assert named["k"].tolist() == [7, 8]


def test_columns_become_tensors() -> None:
    for inputs in ([[1, 2], [3, 4]], {"x": [[1, 2], [3, 4]]}):
        assert tensors(ONE, inputs=inputs)["x"].tolist() == [[1, 2], [3, 4]]
    named = tensors(TWO, inputs={"x": [[1, 2]], "k": [7]}, signature_name="serving_default")
    assert (named["x"].tolist(), named["k"].tolist()) == ([[1, 2]], [7])


def test_elements_of_bytes_are_strings_or_base64() -> None:
    for sent in ({"instances": [b64(b"\xff"), "é"]}, {"inputs": [b64(b"\xff"), "é"]}):
        assert tensors(STRINGS, **sent)["s"].tolist() == [b"\xff", "é".encode()]
    named = tensors(STRINGS, instances=[{"s": b64(b"\xff")}, {"s": "é"}])
    assert named["s"].tolist() == [b"\xff", "é".encode()]
    odd = Signature((TensorSpec("b64", DataType.BYTES, (-1,)),), ())
    assert tensors(odd, instances=[{"b64": "text"}])["b64"].tolist() == [b"text"]


def test_base64_is_broken_into_lines_and_stands_in_data_urls() -> None:
    """A string alone is its own content, whatever it looks like."""
    (lines,) = ({"b64": base64.encodebytes(bytes(100)).decode()},)
    url = {"b64": "data:image/png;base64,/w=="}
    assert tensors(STRINGS, instances=[lines, url])["s"].tolist() == [bytes(100), b"\xff"]
    assert items(IMAGE, instances=[lines, url]).items == (bytes(100), b"\xff")
    assert tensors(STRINGS, instances=[url["b64"]])["s"].tolist() == [url["b64"].encode()]


def test_a_byte_order_mark_before_the_json_is_passed_over() -> None:
    body = b'\xef\xbb\xbf{"instances": [[1, 2]]}'
    assert (kserve_v1.decode_tensors(body, ONE).tensors or {})["x"].tolist() == [[1, 2]]


def test_instances_and_columns_become_items() -> None:
    assert items(TEXT, instances=["a", "b"]) == PredictCall(items=("a", "b"))
    assert items(IMAGE, inputs=[b64(b"png")]) == PredictCall(items=(b"png",), rows=False)


@pytest.mark.parametrize(
    ("signature", "body", "told"),
    [
        (ONE, {"instances": [[1, 2], [3]]}, "instances: lists at depth 1 differ in length"),
        (ONE, {"instances": [[1, 2, 3]]}, "instances: got [1,3]; the model takes [-1, 2]"),
        (ONE, {"instances": [["a", "b"]]}, "instances: element 0"),
        (ONE, {"instances": [1]}, "instances: got [1]"),
        (ONE, {"instances": []}, "instances: got []"),
        (ONE, {"inputs": 7}, "inputs: got 7"),
        (ONE, {"inputs": {"q": [[1, 2]]}}, 'inputs: got {"q":[[1,2]]}; send an object with exactly "x"'),
        (TWO, {"inputs": {"x": [[1, 2]]}}, 'inputs: got {"x":[[1,2]]}; send an object with exactly "x", "k"'),
        (TWO, {"inputs": [[1, 2]]}, "inputs: got [[1,2]]; send an object"),
        (TWO, {"inputs": {"x": [[1, 2]], "k": [1.5]}}, "inputs.k: element 0: got 1.5"),
        (TWO, {"instances": [[1, 2]]}, 'instances[0]: got [1,2]; send an object with the inputs "x", "k"'),
        (TWO, {"instances": [{"x": [1, 2]}]}, "instances[0]: got"),
        (TWO, {"instances": [{"x": [1, 2], "k": 1}, [1, 2]]}, "instances[1]: got [1,2]"),
        (TWO, {"instances": [{"x": [1, 2], "k": 1.5}]}, "instances[*].k: element 0: got 1.5"),
        (STRINGS, {"instances": [b64(b"a"), {"b64": "?"}]}, "instances.b64: got"),
        (STRINGS, {"instances": [b64(b"a"), {"c": "?"}]}, 'send {"b64"'),
        (STRINGS, {"instances": json.loads("[" * 99 + "]" * 99)}, "instances"),
        (ONE, {}, "body: got {}; send either"),
        (ONE, {"instances": [[1, 2]], "inputs": [[1, 2]]}, "send either"),
    ],
)
def test_wrong_calls_are_refused(signature: Signature, body: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        tensors(signature, **body)
    assert told in caught.value.message


def test_too_many_or_wrong_items_are_refused() -> None:
    with pytest.raises(PayloadTooLarge, match="instances: got 4; at most 3"):
        items(TEXT, instances=[*"abcd"])
    with pytest.raises(InvalidInput, match=r"inputs\[0\]: got 7"):
        items(TEXT, inputs=[7])


def test_rows_go_out_as_one_prediction_for_each_instance() -> None:
    one = np.array([[1, 2], [3, 4]])
    assert said(ROWS, y=one) == {"predictions": [[1, 2], [3, 4]]}
    rows = [{"y": [1, 2], "s": "a"}, {"y": [3, 4], "s": "b"}]
    assert said(ROWS, y=one, s=np.array([b"a", b"b"], object)) == {"predictions": rows}
    response = InferenceResponse("m", "m-00001", "r", answers=((ADA,), ()))
    assert json.loads(kserve_v1.encode(response, ROWS).body)["predictions"][1] == []


def test_columns_go_out_as_tensors() -> None:
    assert said(COLUMNS, y=np.array([1, 2])) == {"outputs": [1, 2]}
    assert said(COLUMNS, y=np.zeros((2, 1)), z=np.array(1.5)) == {"outputs": {"y": [[0.0], [0.0]], "z": 1.5}}
    response = InferenceResponse("m", "m-00001", "r", answers=((),))
    assert json.loads(kserve_v1.encode(response, COLUMNS).body) == {"outputs": [[]]}


def test_outputs_named_for_bytes_go_out_in_base64() -> None:
    content = np.array([[b"\xff"], [b"a"]], object)
    assert said(ROWS, image_bytes=content) == {"predictions": [[b64(b"\xff")], [b64(b"a")]]}
    with pytest.raises(ModelFailed, match="not UTF-8"):
        said(ROWS, image=content)


def test_outputs_without_a_row_for_each_instance_are_the_models_failure() -> None:
    for other in (np.zeros((3, 1)), np.array(1.0), np.array(b"text", object)):
        with pytest.raises(ModelFailed, match="rows"):
            said(ROWS, y=np.zeros((2, 1)), z=other)
