"""The messages of Open Inference Protocol v2 over gRPC: on the wire those of everybody else, and checked."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import descriptor_pb2
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2

from modelserve.domain.inference import DataType, InferenceResponse, Signature, TensorSpec
from modelserve.errors import InvalidInput, ModelFailed
from modelserve.protocol import messages, oip_grpc
from modelserve.protocol.messages import health_pb2, inference_pb2

SIGNATURE = Signature(
    (
        *(TensorSpec(kind, kind, (-1,)) for kind in DataType),
        TensorSpec("pair", DataType.FP32, (-1, 2)),
    ),
    (TensorSpec("y", DataType.FP32, (-1, 2)), TensorSpec("z", DataType.INT8, (-1,))),
)
FIELDS = {
    DataType.BOOL: ("bool_contents", [True, False]),
    DataType.UINT8: ("uint_contents", [0, 255]),
    DataType.UINT16: ("uint_contents", [0, 2**16 - 1]),
    DataType.UINT32: ("uint_contents", [0, 2**32 - 1]),
    DataType.UINT64: ("uint64_contents", [0, 2**64 - 1]),
    DataType.INT8: ("int_contents", [-128, 127]),
    DataType.INT16: ("int_contents", [-(2**15), 2**15 - 1]),
    DataType.INT32: ("int_contents", [-(2**31), 2**31 - 1]),
    DataType.INT64: ("int64_contents", [-(2**63), 2**63 - 1]),
    DataType.FP32: ("fp32_contents", [0.5, float("inf")]),
    DataType.FP64: ("fp64_contents", [0.1, -1e300]),
    DataType.BYTES: ("bytes_contents", [b"", b"\xff\0"]),
}


def only(*names: str) -> Signature:
    return Signature(tuple(spec for spec in SIGNATURE.inputs if spec.name in names), SIGNATURE.outputs)


def request(**fields: Any) -> inference_pb2.ModelInferRequest:
    return inference_pb2.ModelInferRequest(model_name="m", **fields)


def typed(kind: str, shape: list[int], field: str, elements: list[Any]) -> inference_pb2.ModelInferRequest:
    asked = request()
    tensor = asked.inputs.add(name=kind, datatype=kind, shape=shape)
    getattr(tensor.contents, field).extend(elements)
    return asked


def test_have_the_public_protocols_names_and_numbers() -> None:
    public = service_pb2.DESCRIPTOR
    for name, message in inference_pb2.DESCRIPTOR.message_types_by_name.items():
        assert _wire(message) == _wire(public.message_types_by_name[name]), name
    service = inference_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"]
    theirs = public.services_by_name["GRPCInferenceService"]
    assert service.full_name == theirs.full_name
    for method in service.methods:
        assert _call(method) == _call(theirs.methods_by_name[method.name])


def _wire(message: Any) -> Any:
    fields = {
        field.number: (
            field.name,
            field.type,
            field.is_repeated,
            field.message_type and field.message_type.full_name,
        )
        for field in message.fields
    }
    return fields, {nested.name: _wire(nested) for nested in message.nested_types}


def _call(method: Any) -> Any:
    return (
        method.input_type.full_name, method.output_type.full_name, method.client_streaming,
        method.server_streaming,
    )  # fmt: skip


@pytest.mark.parametrize("module", [inference_pb2, health_pb2], ids=["inference", "health"])
def test_are_what_the_proto_file_says(module: Any, tmp_path: Path) -> None:
    folder, out = Path(messages.__file__).parent, tmp_path / "set"
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{folder}", f"--descriptor_set_out={out}"]
    subprocess.run([*command, module.DESCRIPTOR.name], check=True)
    (written,) = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file
    generated = descriptor_pb2.FileDescriptorProto.FromString(module.DESCRIPTOR.serialized_pb)
    assert generated == _as_generated(written), "run: make proto"


def _as_generated(file: Any) -> Any:
    """Generated code leaves out the names of the fields in JSON, which follow from the others."""
    for message in (
        *file.message_type,
        *(nested for each in file.message_type for nested in each.nested_type),
    ):
        for field in (*message.field, *(field for each in message.nested_type for field in each.field)):
            field.ClearField("json_name")
    return file


@pytest.mark.parametrize("kind", FIELDS)
def test_carry_each_type_in_its_own_field(kind: DataType) -> None:
    field, elements = FIELDS[kind]
    tensor = oip_grpc.tensors(typed(kind, [2], field, elements), only(kind))[kind]
    assert (tensor.dtype, tensor.tolist()) == (kind.numpy, elements)


def test_carry_raw_tensors_as_views_of_the_request() -> None:
    asked = request(raw_input_contents=[np.array([[1, 2]], np.float32).tobytes()])
    asked.inputs.add(name="pair", datatype="FP32", shape=[1, 2])
    assert oip_grpc.tensors(asked, only("pair"))["pair"].tolist() == [[1, 2]]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (request(), 'inputs: "FP32" missing; the model takes "FP32"'),
        (typed("other", [1], "fp32_contents", [1]), r'inputs\[0\].name: got "other"; the model takes "FP32"'),
        (typed("FP32", [-1], "fp32_contents", [1]), r"inputs\[0\].shape: got \[-1\]"),
        (typed("FP32", [1, 2], "fp32_contents", [1, 2]), r"inputs\[0\].shape: got \[1,2\]"),
        (
            typed("FP32", [2], "fp64_contents", [1, 2]),
            r"inputs\[0\].contents.fp32_contents: got 0 elements; shape \[2\] holds 2",
        ),
        (typed("FP32", [2**62], "fp32_contents", [1]), "got 1 elements; shape"),
        (request(raw_input_contents=[b"", b""]), "raw_input_contents: got 2 for 0 inputs; send one for each"),
    ],
)
def test_that_do_not_fit_the_model_are_refused(asked: Any, told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        oip_grpc.tensors(asked, only("FP32"))


def test_refuse_numbers_that_do_not_fit_the_type() -> None:
    with pytest.raises(InvalidInput, match=r"element 1: got 300; INT8 takes whole numbers within -128..127"):
        oip_grpc.tensors(typed("INT8", [2], "int_contents", [1, 300]), only("INT8"))
    with pytest.raises(InvalidInput, match="element 0: got 256; UINT8"):
        oip_grpc.tensors(typed("UINT8", [1], "uint_contents", [256]), only("UINT8"))


def test_say_that_fp16_must_be_raw() -> None:
    with pytest.raises(InvalidInput, match="FP16 has no typed field; send raw_input_contents"):
        oip_grpc.tensors(typed("FP16", [1], "fp32_contents", [1]), only("FP16"))


def test_elements_come_in_one_way() -> None:
    both = typed("INT64", [1], "int64_contents", [1])
    both.inputs[0].contents.int_contents.append(2)
    with pytest.raises(InvalidInput, match='got "int_contents", "int64_contents"; send int64_contents alone'):
        oip_grpc.tensors(both, only("INT64"))
    beside = typed("INT64", [1], "int64_contents", [1])
    beside.raw_input_contents.append(bytes(8))
    with pytest.raises(
        InvalidInput, match=r"inputs\[0\].contents: got int64_contents beside raw_input_contents"
    ):
        oip_grpc.tensors(beside, only("INT64"))
    beside.inputs[0].contents.Clear()
    assert oip_grpc.tensors(beside, only("INT64"))["INT64"].tolist() == [0]


def test_strings_are_what_their_content_type_says() -> None:
    asked = typed("BYTES", [1], "bytes_contents", [b"/wA="])
    asked.inputs[0].parameters["content_type"].string_param = "base64"
    assert oip_grpc.tensors(asked, only("BYTES"))["BYTES"].tolist() == [b"\xff\0"]
    asked.inputs[0].parameters["content_type"].string_param = "hg_json"
    with pytest.raises(InvalidInput, match=r'inputs\[0\].parameters.content_type: got "hg_json"'):
        oip_grpc.tensors(asked, only("BYTES"))


def test_with_an_input_twice_or_of_another_type_are_refused() -> None:
    asked = typed("FP32", [1], "fp32_contents", [1])
    asked.inputs.append(asked.inputs[0])
    with pytest.raises(InvalidInput, match=r"inputs\[1\].name: got \"FP32\"; send each input once"):
        oip_grpc.tensors(asked, only("FP32"))
    asked = typed("FP32", [1], "fp32_contents", [1])
    asked.inputs[0].datatype = "FP64"
    with pytest.raises(InvalidInput, match=r'datatype: got "FP64"; the model takes FP32 for "FP32"'):
        oip_grpc.tensors(asked, only("FP32"))


def test_name_the_outputs_that_are_wanted() -> None:
    asked = request()
    assert oip_grpc.outputs(asked, SIGNATURE) == ()
    asked.outputs.add(name="z")
    assert oip_grpc.outputs(asked, SIGNATURE) == ("z",)
    asked.outputs.add(name="z")
    with pytest.raises(InvalidInput, match=r"outputs\[1\].name: got \"z\"; ask for each output once"):
        oip_grpc.outputs(asked, SIGNATURE)
    asked.outputs[1].name = "y"
    asked.outputs[1].parameters["classification"].int64_param = 3
    with pytest.raises(InvalidInput, match="classification is not done here"):
        oip_grpc.outputs(asked, SIGNATURE)


def test_say_how_long_the_client_waits_in_microseconds() -> None:
    asked = request()
    assert oip_grpc.patience(asked) is None
    asked.parameters["timeout"].int64_param = 1500
    assert oip_grpc.patience(asked) == 0.0015
    asked.parameters["timeout"].int64_param = 0
    assert oip_grpc.patience(asked) is None, "0 is Triton's word for no limit"
    for wrong in ({"int64_param": -1}, {"string_param": "1"}, {"bool_param": True}, {}):
        asked.parameters["timeout"].CopyFrom(inference_pb2.InferParameter(**wrong))
        with pytest.raises(InvalidInput, match=r"parameters.timeout: got .* send whole microseconds"):
            oip_grpc.patience(asked)


def test_answer_with_raw_tensors() -> None:
    tensors = {"y": np.array([[1, 2]], np.float32), "z": np.array([3], np.int8)}
    answer = oip_grpc.answer(InferenceResponse("m", "m-00001", "r", tensors), "7")
    assert (answer.model_name, answer.model_version, answer.id) == ("m", "m-00001", "7")
    assert [(o.name, o.datatype, list(o.shape)) for o in answer.outputs] == [
        ("y", "FP32", [1, 2]),
        ("z", "INT8", [1]),
    ]
    assert list(answer.raw_output_contents) == [b"\0\0\x80\x3f\0\0\0\x40", b"\3"]
    with pytest.raises(ModelFailed, match="no name for complex64"):
        oip_grpc.answer(InferenceResponse("m", "m-1", "r", {"y": np.zeros(1, np.complex64)}), "")


@given(st.binary(max_size=200))
def test_of_any_bytes_are_requests_or_a_clients_mistake(body: bytes) -> None:
    with contextlib.suppress(InvalidInput):
        asked = oip_grpc.parse(inference_pb2.ModelInferRequest, body)
        oip_grpc.tensors(asked, SIGNATURE)
