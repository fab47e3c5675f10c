"""Open Inference Protocol v2 over gRPC: messages to tensors and back. Needs protobuf (``modelserve[grpc]``).

Source: https://github.com/kserve/open-inference-protocol, specification/protocol/inference_grpc.md. Tensors
come raw or in the typed field of their element type; answers always go out raw.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from google.protobuf.message import DecodeError, Message

from modelserve.domain.inference import Array, DataType, InferenceResponse, Signature, Tensors, TensorSpec
from modelserve.domain.models import Runtime
from modelserve.errors import InvalidInput
from modelserve.protocol import arrays, binary, inputs, values
from modelserve.protocol.messages import inference_pb2 as messages
from modelserve.protocol.oip import PLATFORMS, TIMEOUT

M = TypeVar("M", bound=Message)
Input = messages.ModelInferRequest.InferInputTensor

_FIELDS: dict[DataType, str] = {
    DataType.BOOL: "bool_contents",
    **dict.fromkeys((DataType.INT8, DataType.INT16, DataType.INT32), "int_contents"),
    DataType.INT64: "int64_contents",
    **dict.fromkeys((DataType.UINT8, DataType.UINT16, DataType.UINT32), "uint_contents"),
    DataType.UINT64: "uint64_contents",
    DataType.FP32: "fp32_contents",
    DataType.FP64: "fp64_contents",
    DataType.BYTES: "bytes_contents",
}
"""Where the elements of a type stand; FP16 has no place and must come raw."""


def parse(kind: type[M], body: bytes) -> M:
    """The message in ``body``. Raises InvalidInput for bytes that are none."""
    message = kind()
    try:
        message.ParseFromString(body)
    except DecodeError as error:
        raise InvalidInput(f"message: not a {kind.DESCRIPTOR.full_name}: {error}") from None
    return message


def tensors(request: messages.ModelInferRequest, signature: Signature) -> Tensors:
    """The inputs of a request, checked against the model's signature. Raises InvalidInput.

    Raw tensors are read-only views of the request's bytes.
    """
    specs = {spec.name: spec for spec in signature.inputs}
    contents = _raw_contents(request)
    found: Tensors = {}
    for index, tensor in enumerate(request.inputs):
        place = f"inputs[{index}]"
        spec = _spec_of(tensor, specs, found, place)
        shape = list(tensor.shape)
        kind = inputs.datatype(tensor.datatype, spec, f"{place}.datatype")
        fitted = inputs.fitted(shape, spec, f"{place}.shape")
        if contents:
            _require_raw(tensor, place)
            data = binary.array(memoryview(contents[index]), kind, shape, f"raw_input_contents[{index}]")
        else:
            data = _typed(tensor, kind, shape, place)
        data = inputs.meant(data, _content_type(tensor), place)
        found[spec.name] = inputs.given(data, kind, fitted, spec)
    return inputs.whole(found, signature.inputs) if len(found) < len(specs) else found


def _raw_contents(request: messages.ModelInferRequest) -> Sequence[bytes]:
    contents = request.raw_input_contents
    if contents and len(contents) != len(request.inputs):
        raise InvalidInput(
            f"raw_input_contents: got {len(contents)} for {len(request.inputs)} inputs; send one for each"
        )
    return contents


def _require_raw(tensor: Input, place: str) -> None:
    """Raise InvalidInput for elements beside raw ones: they may be others."""
    if told := _told_fields(tensor):
        raise InvalidInput(f"{place}.contents: got {told[0]} beside raw_input_contents; send one of both")


def _told_fields(tensor: Input) -> list[str]:
    return [field.name for field, _ in tensor.contents.ListFields()]


def _content_type(tensor: Input) -> object:
    parameter = tensor.parameters.get("content_type") if tensor.parameters else None
    if parameter is None:
        return None
    return getattr(parameter, parameter.WhichOneof("parameter_choice") or "string_param")


def _spec_of(tensor: Input, specs: Mapping[str, TensorSpec], found: Tensors, place: str) -> TensorSpec:
    if (spec := specs.get(tensor.name)) is None:
        raise values.got(f"{place}.name", tensor.name, f"the model takes {values.listing(specs)}")
    if tensor.name in found:
        raise values.got(f"{place}.name", tensor.name, "send each input once")
    return spec


def _typed(tensor: Input, datatype: DataType, shape: Sequence[int], place: str) -> Array:
    if datatype not in _FIELDS:
        raise InvalidInput(f"{place}.contents: {datatype} has no typed field; send raw_input_contents")
    field = _FIELDS[datatype]
    if len(fields := _told_fields(tensor)) > 1:
        several = values.listing(fields)
        raise InvalidInput(f"{place}.contents: got {several}; send {field} alone, which {datatype} takes")
    elements = getattr(tensor.contents, field)
    wanted = math.prod(shape)
    if len(elements) != wanted:
        told = f"got {len(elements)} elements; shape {list(shape)} holds {wanted}"
        raise InvalidInput(f"{place}.contents.{field}: {told}")
    return _array(elements, datatype, f"{place}.contents.{field}").reshape(shape)


def _array(elements: Sequence[Any], datatype: DataType, place: str) -> Array:
    if datatype is DataType.BYTES:
        strings = np.empty(len(elements), dtype=np.object_)
        strings[:] = elements
        return strings
    try:
        return np.fromiter(elements, datatype.numpy, len(elements))
    except OverflowError:
        info = np.iinfo(datatype.numpy)
        index = next(i for i, value in enumerate(elements) if not info.min <= value <= info.max)
        wanted = f"{datatype} takes whole numbers within {info.min}..{info.max}"
        raise values.got(f"{place}: element {index}", elements[index], wanted) from None


def outputs(request: messages.ModelInferRequest, signature: Signature) -> tuple[str, ...]:
    """The names of the outputs that are asked for; none means all. Raises InvalidInput."""
    known = [spec.name for spec in signature.outputs]
    names: list[str] = []
    for index, output in enumerate(request.outputs):
        place = f"outputs[{index}]"
        if output.name not in known:
            raise values.got(f"{place}.name", output.name, f"the model gives {values.listing(known)}")
        if output.name in names:
            raise values.got(f"{place}.name", output.name, "ask for each output once")
        if "classification" in output.parameters:
            raise InvalidInput(f"{place}.parameters: classification is not done here; ask for the tensor")
        names.append(output.name)
    return tuple(names)


def patience(request: messages.ModelInferRequest) -> float | None:
    """Seconds that the request's ``timeout`` parameter, in microseconds, allows; None where it has none."""
    parameter = request.parameters.get("timeout")
    if parameter is None:
        return None
    told = getattr(parameter, parameter.WhichOneof("parameter_choice") or "string_param")
    return values.microseconds(told, TIMEOUT)


def answer(response: InferenceResponse, request_id: str) -> messages.ModelInferResponse:
    """An infer response. Raises ModelFailed for outputs that the protocol cannot say."""
    message = messages.ModelInferResponse(
        model_name=response.model, model_version=response.revision, id=request_id
    )
    for name, data in (response.tensors or {}).items():
        datatype = arrays.named_type(data, name)
        message.outputs.add(name=name, datatype=datatype, shape=data.shape)
        message.raw_output_contents.append(binary.dump(data))
    return message


def model_metadata(
    model: str, revision: str, signature: Signature, runtime: Runtime = Runtime.ONNX
) -> messages.ModelMetadataResponse:
    """What the model is called, which revision answers, and the tensors that it takes and gives."""
    return messages.ModelMetadataResponse(
        name=model,
        versions=[revision],
        platform=PLATFORMS[runtime],
        inputs=_told(signature.inputs),
        outputs=_told(signature.outputs),
    )


def _told(specs: Iterable[TensorSpec]) -> list[messages.ModelMetadataResponse.TensorMetadata]:
    told = messages.ModelMetadataResponse.TensorMetadata
    return [told(name=spec.name, datatype=spec.datatype, shape=spec.shape) for spec in specs]
