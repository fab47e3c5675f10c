"""Open Inference Protocol v2 over REST: tensors as JSON, or as bytes behind it.

Sources: https://github.com/kserve/open-inference-protocol, specification/protocol/inference_rest.md; for
the bytes see :mod:`modelserve.protocol.binary`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from modelserve.domain.inference import (
    EXTENSIONS,
    REPOSITORY_EXTENSION,
    Array,
    DataType,
    InferenceResponse,
    Signature,
    Tensors,
    TensorSpec,
)
from modelserve.domain.models import Runtime
from modelserve.errors import InvalidInput
from modelserve.protocol import arrays, binary, inputs, quick, values
from modelserve.protocol.binary import Buffer, Tail
from modelserve.protocol.payload import Payload

PLATFORMS = {
    Runtime.ONNX: "onnxruntime_onnx",
    Runtime.TORCH: "pytorch_program",
    Runtime.SKLEARN: "sklearn_estimator",
    Runtime.XGBOOST: "xgboost_booster",
    Runtime.LIGHTGBM: "lightgbm_booster",
    Runtime.PYTHON: "python_class",
    Runtime.EXTERNAL: "oip_external",
}
"""What metadata calls an engine: ``<project>_<format>``."""
TIMEOUT = "parameters.timeout"
"""Where a request says for how long it may take, in microseconds."""
_ELSEWHERE = ("shared_memory_region", "shared_memory_byte_size", "classification")
"""Parameters of extensions that are not spoken and would make an answer wrong if they were ignored."""


@dataclass(slots=True)
class InferCall:
    """What one infer request says. ``id`` is None where the client gave none; ``outputs`` empty means all.

    ``binary`` has the outputs for which the client said how it wants them; the rest is ``binary_default``.
    ``patience`` is for how many seconds it waits, if it says so.
    """

    tensors: Tensors
    outputs: tuple[str, ...]
    id: str | None
    binary: Mapping[str, bool] = field(default_factory=dict)
    binary_default: bool = False
    patience: float | None = None

    def wants_binary(self, output: str) -> bool:
        return self.binary.get(output, self.binary_default)


def decode(body: Buffer, signature: Signature, json_length: str = "") -> InferCall:
    """An infer request, checked against the model's signature.

    ``json_length`` is the header ``Inference-Header-Content-Length`` as sent. Raises InvalidInput.
    """
    text, tail = binary.split(body, json_length)
    fields = values.parse(text)
    identity = fields.get("id")
    if identity is not None:
        values.text(identity, "id")
    tensors = quick.inputs(fields.get("inputs"), signature) if tail is None else None
    if tensors is None:
        tensors = _inputs(fields.get("inputs"), signature, tail)
    if len(fields) == 1:
        return InferCall(tensors, (), None)
    outputs = _outputs(fields.get("outputs"), signature)
    parameters = _parameters(fields, "")
    default = _flag(parameters, "binary_data_output", "parameters")
    told = {name: flag for name, flag in outputs.items() if flag is not None}
    return InferCall(tensors, tuple(outputs), identity, told, bool(default), patience(parameters))


def _inputs(entries: object, signature: Signature, tail: Tail | None) -> Tensors:
    specs = {spec.name: spec for spec in signature.inputs}
    found: Tensors = {}
    for index, entry in enumerate(values.items(entries, "inputs")):
        place = f"inputs[{index}]"
        spec = _spec_of(entry, specs, found, place)
        found[spec.name] = _tensor(entry, spec, place, tail)
    if len(found) < len(specs):
        found = inputs.whole(found, signature.inputs)
    if tail is not None:
        tail.finish()
    return found


def _spec_of(entry: object, specs: Mapping[str, TensorSpec], found: Tensors, place: str) -> TensorSpec:
    if not isinstance(entry, dict):
        raise values.got(place, entry, "send an object with name, shape, datatype and data")
    name = values.text(entry.get("name"), f"{place}.name")
    if name not in specs:
        raise values.got(f"{place}.name", name, f"the model takes {values.listing(specs)}")
    if name in found:
        raise values.got(f"{place}.name", name, "send each input once")
    return specs[name]


def _tensor(entry: dict[str, Any], spec: TensorSpec, place: str, tail: Tail | None) -> Array:
    kind, shape = inputs.datatype(entry.get("datatype"), spec, f"{place}.datatype"), entry.get("shape")
    if not isinstance(shape, list) or any(type(length) is not int for length in shape):
        raise values.got(f"{place}.shape", shape, "send a list of whole numbers")
    fitted = inputs.fitted(shape, spec, f"{place}.shape")
    parameters = _parameters(entry, f"{place}.")
    if "binary_data_size" in parameters:
        found = inputs.meant(
            _from_tail(entry, shape, kind, place, tail), parameters.get("content_type"), place
        )
        return inputs.given(found, kind, fitted, spec)
    data = entry.get("data")
    if not isinstance(data, list):
        wanted = "send the elements as a JSON list, or behind the JSON with parameters.binary_data_size"
        raise values.got(f"{place}.data", data, wanted)
    where = f"{place}.data"
    found = arrays.shaped(inputs.array(data, spec, where, kind), shape, where)
    found = inputs.meant(found, parameters.get("content_type"), place)
    return inputs.given(found, spec.datatype, fitted, spec)


def _from_tail(
    entry: dict[str, Any], shape: list[int], kind: DataType, place: str, tail: Tail | None
) -> Array:
    size, where = entry["parameters"]["binary_data_size"], f"{place}.parameters.binary_data_size"
    if "data" in entry:
        raise values.got(where, size, f"send either this or {place}.data")
    if tail is None:
        raise values.got(where, size, f"send the header {binary.HEADER} with the JSON's length in bytes")
    return binary.array(tail.take(size, where), kind, shape, where)


def patience(parameters: Mapping[str, Any]) -> float | None:
    """For how many seconds the client waits; None where it does not say. Raises InvalidInput."""
    told = parameters.get("timeout")
    return None if told is None else values.microseconds(told, TIMEOUT)


def _outputs(entries: object, signature: Signature) -> dict[str, bool | None]:
    """The wanted outputs in order, each with whether it is wanted as bytes, if the client says so."""
    if entries is None or entries == []:
        return {}
    known = [spec.name for spec in signature.outputs]
    wanted: dict[str, bool | None] = {}
    for index, entry in enumerate(values.items(entries, "outputs")):
        place = f"outputs[{index}]"
        name = values.text(entry.get("name") if isinstance(entry, dict) else entry, f"{place}.name")
        if name not in known:
            raise values.got(f"{place}.name", name, f"the model gives {values.listing(known)}")
        if name in wanted:
            raise values.got(f"{place}.name", name, "ask for each output once")
        parameters = _parameters(entry, f"{place}.") if isinstance(entry, dict) else {}
        wanted[name] = _flag(parameters, "binary_data", f"{place}.parameters")
    return wanted


def _parameters(fields: dict[str, Any], place: str) -> dict[str, Any]:
    parameters = fields.get("parameters")
    if parameters is None:
        return {}
    if not isinstance(parameters, dict):
        raise values.got(f"{place}parameters", parameters, "send an object")
    for name in _ELSEWHERE:
        if name in parameters:
            raise InvalidInput(f"{place}parameters.{name}: this server does not speak that extension")
    return parameters


def _flag(parameters: dict[str, Any], name: str, place: str) -> bool | None:
    value = parameters.get(name)
    if value is None or isinstance(value, bool):
        return value
    raise values.got(f"{place}.{name}", value, "send true or false")


def encode(response: InferenceResponse, call: InferCall) -> Payload:
    """An infer response. Raises ModelFailed for what JSON cannot say (NaN, infinity) in an output that is
    wanted as JSON."""
    body: dict[str, Any] = {"model_name": response.model, "model_version": response.revision}
    if call.id is not None:
        body["id"] = call.id
    tail: list[bytes] = []
    tensors = response.tensors or {}
    body["outputs"] = [
        _binary_output(name, data, tail) if call.wants_binary(name) else _output(name, data)
        for name, data in tensors.items()
    ]
    text = arrays.dump(body)
    if b"null" in text:  # as NaN is written, and as a name may be
        _require_sayable(tensors, call)
    if not tail:
        return Payload(text)
    length = (binary.HEADER.encode(), b"%d" % len(text))
    return Payload(b"".join([text, *tail]), binary.CONTENT_TYPE, (length,))


def _output(name: str, data: Array) -> dict[str, Any]:
    """The output's entry; NaN and infinity in it become null."""
    datatype = arrays.named_type(data, name)
    flat = arrays.listed(data, name)
    return {"name": name, "datatype": datatype, "shape": data.shape, "data": flat}


def _require_sayable(tensors: Tensors, call: InferCall) -> None:
    for name, data in tensors.items():
        if not call.wants_binary(name):
            arrays.sayable(data, name)


def _binary_output(name: str, data: Array, tail: list[bytes]) -> dict[str, Any]:
    """The output's entry; its bytes go to the end of ``tail``."""
    datatype = arrays.named_type(data, name)
    tail.append(binary.dump(data))
    parameters = {"binary_data_size": len(tail[-1])}
    return {"name": name, "datatype": datatype, "shape": data.shape, "parameters": parameters}


def server_metadata(version: str, *, repository: bool = False) -> dict[str, Any]:
    """``repository``: whether models can be loaded and unloaded by calls."""
    extensions = [*EXTENSIONS, *([REPOSITORY_EXTENSION] if repository else [])]
    return {"name": "modelserve", "version": version, "extensions": extensions}


def model_metadata(
    model: str, revision: str, signature: Signature, runtime: Runtime = Runtime.ONNX
) -> dict[str, Any]:
    """What the model is called, which revision answers, and the tensors that it takes and gives."""
    return {
        "name": model,
        "versions": [revision],
        "platform": PLATFORMS[runtime],
        "inputs": [_tensor_metadata(spec) for spec in signature.inputs],
        "outputs": [_tensor_metadata(spec) for spec in signature.outputs],
    }


def _tensor_metadata(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": spec.datatype, "shape": list(spec.shape)}
