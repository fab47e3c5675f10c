"""What goes out: OIP and task answers, metadata, faults, sampled answers."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelserve.domain.inference import (
    DataType,
    Entity,
    InferenceRequest,
    InferenceResponse,
    Label,
    Signature,
    Tensors,
    TensorSpec,
)
from modelserve.domain.models import Runtime
from modelserve.errors import InvalidInput, ModelFailed, Overloaded
from modelserve.protocol import faults, kserve_v1, oip, sampled, tasks

ADA = Entity("Ada", "PER", 0.5, 0, 3)
CAT = (Label("cat", 0.75), Label("dog", 0.25))
UNNAMED = oip.InferCall({}, (), None)


def response(tensors: Tensors) -> InferenceResponse:
    return InferenceResponse("m", "m-00001", "r", tensors=tensors)


def answers(*items: tuple[Entity, ...] | tuple[Label, ...]) -> InferenceResponse:
    return InferenceResponse("m", "m-00001", "r", answers=items)


def test_tensors_go_out_flat_with_their_shape_and_type() -> None:
    payload = oip.encode(response({"y": np.array([[1.5, 2], [3, 4]], np.float32)}), UNNAMED)
    assert payload.content_type == b"application/json"
    assert payload.body == (
        b'{"model_name":"m","model_version":"m-00001",'
        b'"outputs":[{"name":"y","datatype":"FP32","shape":[2,2],"data":[1.5,2.0,3.0,4.0]}]}'
    )


def test_an_id_comes_back_only_where_one_was_given() -> None:
    empty = response({})
    assert "id" not in json.loads(oip.encode(empty, UNNAMED).body)
    assert json.loads(oip.encode(empty, oip.InferCall({}, (), "7")).body)["id"] == "7"


@pytest.mark.parametrize("datatype", list(DataType))
def test_every_type_goes_out_and_comes_in_again(datatype: DataType) -> None:
    sent = np.array([b"a", b"\xc3\xa9"] if datatype is DataType.BYTES else [0, 1]).astype(datatype.numpy)
    output = json.loads(oip.encode(response({"x": sent}), UNNAMED).body)["outputs"][0]
    signature = Signature((TensorSpec("x", datatype, (-1,)),), ())
    back = oip.decode(json.dumps({"inputs": [output]}).encode(), signature)
    assert back.tensors["x"].tolist() == sent.tolist()


def test_views_that_are_not_contiguous_go_out_right() -> None:
    turned = np.arange(6, dtype=np.int64).reshape(2, 3).T
    output = json.loads(oip.encode(response({"y": turned}), UNNAMED).body)["outputs"][0]
    assert (output["shape"], output["data"]) == ([3, 2], [0, 3, 1, 4, 2, 5])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_json_cannot_say_are_the_models_failure(bad: float) -> None:
    broken = response({"y": np.array([[0.0], [bad]], np.float32)})
    for encode in (
        lambda: oip.encode(broken, UNNAMED),
        lambda: kserve_v1.encode(broken, kserve_v1.PredictCall()),
    ):
        with pytest.raises(ModelFailed, match=r'output "y": the model gave NaN or infinity'):
            encode()
    with pytest.raises(ModelFailed, match="score"):
        tasks.encode(answers((Label("cat", bad),)), tasks.TaskCall(("x",)))


def test_bytes_that_are_no_text_and_types_without_a_name_are_the_models_failure() -> None:
    with pytest.raises(ModelFailed, match="not UTF-8"):
        oip.encode(response({"y": np.array([b"\xff"], object)}), UNNAMED)
    with pytest.raises(ModelFailed, match="complex"):
        oip.encode(response({"y": np.array([1j])}), UNNAMED)


def test_a_task_answer_is_one_thing_or_a_list_as_it_was_asked() -> None:
    one = json.loads(tasks.encode(answers((ADA,)), tasks.TaskCall(("Ada",))).body)
    entity = {"text": "Ada", "label": "PER", "score": 0.5, "start": 0, "end": 3}
    assert one == {"model": "m", "revision": "m-00001", "entities": [entity]}
    several = json.loads(tasks.encode(answers((ADA,), ()), tasks.TaskCall(("Ada", "x"), several=True)).body)
    assert several == {"model": "m", "revision": "m-00001", "results": [[entity], []]}
    labels = json.loads(tasks.encode(answers(CAT), tasks.TaskCall((b"png",))).body)
    assert [label["label"] for label in labels["labels"]] == ["cat", "dog"]


def test_an_answer_without_entities_still_says_so() -> None:
    assert json.loads(tasks.encode(answers(()), tasks.TaskCall(("x",))).body)["entities"] == []


def test_metadata_tells_the_signature() -> None:
    signature = Signature((TensorSpec("x", DataType.FP32, (-1, 3)),), ())
    assert oip.model_metadata("m", "m-00001", signature) == {
        "name": "m",
        "versions": ["m-00001"],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 3]}],
        "outputs": [],
    }


def test_metadata_has_a_word_for_every_engine() -> None:
    assert oip.PLATFORMS.keys() == set(Runtime)
    assert oip.model_metadata("m", "1", Signature((), ()), Runtime.XGBOOST)["platform"] == "xgboost_booster"


def test_a_fault_tells_its_code_and_whether_to_come_back() -> None:
    body = json.loads(faults.body(Overloaded("full", retry_after=0.2)))
    assert body == {"error": "full", "code": "overloaded", "retryable": True}
    assert faults.headers(Overloaded("full", retry_after=2.1)) == ((b"retry-after", b"3"),)
    assert faults.headers(InvalidInput("x")) == ()


def test_of_a_defect_only_the_request_id_gets_out() -> None:
    told = faults.told(KeyError("secret"), "r-1")
    assert (told.status, told.code) == (500, "internal")
    assert "secret" not in told.message
    assert "r-1" in told.message


def test_sampled_answers_hold_what_can_be_compared_and_no_text() -> None:
    assert sampled.canonical(answers((ADA,), ())) == {"kind": "entities", "items": [[["PER", 0, 3]], []]}
    assert sampled.canonical(answers(CAT)) == {"kind": "labels", "items": ["cat"], "scores": [0.75]}
    tensors = sampled.canonical(response({"y": np.zeros((2, 1000))}))
    assert tensors["outputs"]["y"]["shape"] == [2, 1000]
    assert len(tensors["outputs"]["y"]["data"]) == 1024


def test_what_json_cannot_say_is_remembered_in_words() -> None:
    numbers = sampled.canonical(response({"y": np.array([1.5, np.nan, np.inf, -np.inf], np.float16)}))
    assert numbers["outputs"]["y"]["data"] == [1.5, "nan", "inf", "-inf"]
    strings = sampled.canonical(response({"s": np.array([b"\xff", "é".encode() * 300], object)}))
    assert strings["outputs"]["s"]["data"] == ["\\xff", "é" * 256]


def test_of_a_large_answer_only_the_beginning_is_remembered() -> None:
    entities = sampled.canonical(answers(*[(ADA,) * 600] * 3))
    assert [len(spans) for spans in entities["items"]] == [600, 424, 0]
    assert len(sampled.canonical(answers(*[CAT] * 2000))["items"]) == 1024
    assert len(sampled.canonical(answers(*[()] * 2000))["items"]) == 1024
    two = response({"y": np.zeros(1000), "s": np.array([b"x" * 999] * 50, object)})
    outputs = sampled.canonical(two)["outputs"]
    assert [len(output["data"]) for output in outputs.values()] == [1000, 24]
    assert {len(text) for text in outputs["s"]["data"]} == {256}
    assert outputs["s"]["shape"] == [50]


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=1, max_size=9))
def test_float32_survives_the_way_out_and_in(numbers: list[float]) -> None:
    output = json.loads(oip.encode(response({"x": np.array(numbers, np.float32)}), UNNAMED).body)["outputs"][
        0
    ]
    assert np.array(output["data"], np.float32).tolist() == numbers


def test_of_a_request_the_beginning_of_its_texts_is_remembered_and_of_the_rest_a_digest() -> None:
    texts = sampled.asked(InferenceRequest("m", "r", items=("é" * 3000, "b" * 3000, "c")))
    assert texts == {"kind": "texts", "items": ["é" * 3000, "b" * 1096]}
    images = sampled.asked(InferenceRequest("m", "r", items=(b"\xff" * 70, b"")))
    assert [image["bytes"] for image in images["items"]] == [70, 0]
    tensors = {"x": np.arange(100.0, dtype=np.float32), "s": np.array([b"abc"] * 9, object)}
    kept = sampled.asked(InferenceRequest("m", "r", tensors=tensors))["inputs"]
    assert (kept["x"]["datatype"], kept["x"]["shape"], len(kept["x"]["data"])) == ("FP32", [100], 16)
    assert kept["s"]["data"] == []
    assert len(kept["x"]["digest"]) == len(kept["s"]["digest"]) == 16
