"""The generate extension: one row of tensors as plain JSON fields, answered whole or piece by piece.

``{"prompt": "Once", "max_tokens": 20}`` fills the inputs of these names; a field of ``parameters`` does so
too, if there is an input of its name; else ``timeout`` is for how many microseconds the client waits. An
answer has a field for each output.

Source: https://github.com/triton-inference-server/server, docs/protocol/extension_generate.md.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from modelserve.domain.inference import Array, InferenceResponse, Signature, Tensors, TensorSpec
from modelserve.errors import InvalidInput
from modelserve.protocol import arrays, inputs, values
from modelserve.protocol.oip import InferCall, patience
from modelserve.protocol.payload import Payload

_OWN = ("id", "parameters")


def decode(body: bytes, signature: Signature) -> InferCall:
    """One row for each input. Raises InvalidInput."""
    fields = values.parse(body)
    identity = fields.get("id")
    if identity is not None:
        values.text(identity, "id")
    specs = {spec.name: spec for spec in signature.inputs}
    parameters = _parameters(fields)
    placed = {name: (f"parameters.{name}", value) for name, value in parameters.items() if name in specs}
    given = placed | {name: (name, fields[name]) for name in fields if name not in _OWN}
    for name in given:
        if name not in specs:
            raise values.got(name, given[name][1], f"the model takes {values.listing(specs)}")
    if missing := [spec.name for spec in specs.values() if spec.name not in given and not spec.optional]:
        raise InvalidInput(f"{missing[0]}: is missing; the model takes {values.listing(specs)}")
    tensors: Tensors = {name: _row(value, specs[name], place) for name, (place, value) in given.items()}
    tensors |= {spec.name: inputs.missing(1, spec) for spec in specs.values() if spec.name not in given}
    limit = None if "timeout" in specs else patience(parameters)
    return InferCall(tensors, (), identity, patience=limit)


def _parameters(fields: dict[str, Any]) -> dict[str, Any]:
    """A parameter that is no input is for others to read."""
    told = fields.get("parameters")
    if told is None:
        return {}
    if not isinstance(told, dict):
        raise values.got("parameters", told, "send an object")
    return told


def _row(value: object, spec: TensorSpec, place: str) -> Array:
    """The batch of one row; a single value stands for a row of one element."""
    single = not isinstance(value, list)
    if value is None and spec.optional:
        return inputs.missing(1, spec)
    data = inputs.array(value if isinstance(value, list) else [value], spec, place)
    if single:
        data = data.reshape([1] * len(spec.shape[1:]))
    data = data[np.newaxis]
    return data.reshape(inputs.fitted(data.shape, spec, place))


def encode(response: InferenceResponse, call: InferCall) -> Payload:
    """One answer, or one piece of it. Raises ModelFailed for outputs that JSON cannot say."""
    body: dict[str, Any] = {"model_name": response.model, "model_version": response.revision}
    if call.id is not None:
        body["id"] = call.id
    body |= {name: _plain(data, name) for name, data in (response.tensors or {}).items()}
    return Payload(arrays.dump(body))


def _plain(data: Array, name: str) -> Any:
    """Without the batch axis; one element alone as itself."""
    said = arrays.sayable(data, name)
    row = said[0] if said.ndim and len(said) == 1 else said
    return row.item() if isinstance(row, np.ndarray) and row.size == 1 else _listed(row)


def _listed(row: Any) -> Any:
    return row.tolist() if isinstance(row, np.ndarray | np.generic) else row
