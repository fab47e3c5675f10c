"""A call of the generate extension ..."""

import json

import numpy as np
import pytest

from modelserve.domain.inference import DataType, InferenceResponse, Signature, TensorSpec
from modelserve.errors import InvalidInput, ModelFailed
from modelserve.protocol import events, generate

SIGNATURE = Signature(
    (
        TensorSpec("prompt", DataType.BYTES, (-1,)),
        TensorSpec("limit", DataType.INT32, (-1, 1)),
        TensorSpec("bias", DataType.FP32, (-1, -1)),
    ),
    (),
)
GOOD = {"prompt": "Ærø", "limit": 3, "bias": [1, 2.5]}


def decoded(**fields):
    return generate.decode(json.dumps(fields).encode(), SIGNATURE)


def test_fills_one_row_of_each_input():
    tensors = decoded(**GOOD).tensors
    assert tensors["prompt"].tolist() == ["Ærø".encode()]
    assert (tensors["limit"].dtype, tensors["limit"].tolist()) == (np.int32, [[3]])
    assert (tensors["bias"].dtype, tensors["bias"].tolist()) == (np.float32, [[1, 2.5]])


def test_may_hold_inputs_among_its_parameters_and_others_there():
    call = decoded(prompt="x", bias=[1], parameters={"limit": 9, "temperature": 0.3}, id="mine")
    assert call.tensors["limit"].tolist() == [[9]]
    assert call.id == "mine"


def test_says_for_how_long_its_client_waits():
    assert decoded(**GOOD).patience is None
    assert decoded(**GOOD, parameters={"timeout": 2_000_000}).patience == 2.0
    taken = Signature((TensorSpec("timeout", DataType.INT32, (-1,)),), ())
    call = generate.decode(b'{"parameters": {"timeout": 7}}', taken)
    assert (call.tensors["timeout"].tolist(), call.patience) == ([7], None), "it is an input of the model"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prompt": 3}, "prompt: element 0: got 3; BYTES takes strings"),
        ({"prompt": ["a", "b"]}, 'prompt: got [1,2]; the model takes [-1] for "prompt"'),
        ({"limit": 2**40}, "limit: element 0: got 1099511627776"),
        ({"limit": [1, 2]}, 'limit: got [1,2]; the model takes [-1, 1] for "limit"'),
        ({"bias": [[1], [2]]}, 'bias: got [1,2,1]; the model takes [-1, -1] for "bias"'),
        ({"bias": []}, "bias: got [1,0]"),
        ({"bias": {}}, "bias: element 0: got {}"),
        ({"other": 1}, 'other: got 1; the model takes "prompt", "limit", "bias"'),
        ({"parameters": 1}, "parameters: got 1; send an object"),
        ({"parameters": {"timeout": -1}}, "parameters.timeout: got -1; send whole microseconds"),
        ({"id": 1}, "id: got 1; send a string"),
    ],
)
def test_is_refused_in_words(change, message):
    with pytest.raises(InvalidInput) as caught:
        decoded(**{**GOOD, **change})
    assert caught.value.message.startswith(message)


def test_needs_every_input():
    with pytest.raises(InvalidInput, match="bias: is missing"):
        decoded(prompt="x", limit=1)


def test_is_answered_with_a_field_for_each_output():
    outputs = {
        "text": np.array([b"so"], object),
        "score": np.array([[0.5]], np.float32),
        "row": np.array([[1, 2]], np.int64),
    }
    response = InferenceResponse("m", "m-00001", "r", outputs)
    assert json.loads(generate.encode(response, decoded(**GOOD, id="mine")).body) == {
        "model_name": "m", "model_version": "m-00001", "id": "mine",
        "text": "so", "score": 0.5, "row": [1, 2],
    }  # fmt: skip


def test_is_not_answered_with_what_json_cannot_say():
    response = InferenceResponse("m", "m-00001", "r", {"y": np.array([np.nan])})
    with pytest.raises(ModelFailed, match="NaN"):
        generate.encode(response, decoded(**GOOD))


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("text/event-stream", True),
        ("application/json;q=0.5, Text/Event-Stream;q=1", True),
        ("*/*", False),
        ("", False),
        ("text/event-streams", False),
    ],
)
def test_is_answered_with_events_where_they_are_asked_for(accept, wanted):
    assert events.wanted(accept) is wanted
