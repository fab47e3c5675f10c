"""Requests and answers of the Open Inference Protocol v2, from the side that asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from modelserve.domain.inference import DataType, Signature, Tensors, TensorSpec
from modelserve.errors import InvalidInput, ModelFailed
from modelserve.protocol import arrays, binary
from modelserve.runtimes.external.connection import as_object

EXTENSIONS = frozenset({"binary_tensor_data", "binary_data"})
"""Names under which servers' metadata lists the binary extension."""


def question(tensors: Tensors, outputs: Sequence[str], raw: bool) -> tuple[bytes, dict[str, str]]:
    """Body and headers; ``raw``: tensors as bytes behind the JSON, and wanted back so."""
    entries, tail = [], []
    for name, data in tensors.items():
        entry: dict[str, Any] = {"name": name, "datatype": DataType.of(data.dtype), "shape": data.shape}
        if raw:
            tail.append(binary.dump(data))
            entry["parameters"] = {"binary_data_size": len(tail[-1])}
        else:
            entry["data"] = _listed(name, data)
        entries.append(entry)
    head: dict[str, Any] = {"inputs": entries}
    if outputs:
        head["outputs"] = [{"name": name} for name in outputs]
    if not raw:
        return arrays.dump(head), {"content-type": "application/json"}
    text = arrays.dump({**head, "parameters": {"binary_data_output": True}})
    headers = {"content-type": binary.CONTENT_TYPE.decode(), binary.HEADER: str(len(text))}
    return b"".join((text, *tail)), headers


def _listed(name: str, data: Any) -> Any:
    try:
        return arrays.json_list(arrays.sayable(data, name).reshape(-1))
    except ModelFailed:
        raise InvalidInput(
            f'input "{name}": holds NaN, infinity or bytes that are no UTF-8; the external server takes JSON '
            "alone, which can say none of them"
        ) from None


def answer(
    content: bytes, headers: Mapping[str, str], signature: Signature, wanted: Sequence[str]
) -> Tensors:
    """The outputs, in the order in which they are wanted. Raises ModelFailed for what breaks the protocol."""
    told = headers.get(binary.HEADER, "")
    try:
        text, tail = binary.split(content, told)
        body = as_object(text)
        found = {entry["name"]: entry for entry in body["outputs"]}
        known = {spec.name: spec for spec in signature.outputs}
        read = {name: _tensor(entry, known.get(name), tail) for name, entry in found.items()}
        return {name: read[name] for name in wanted or known}
    except KeyError as error:
        raise ModelFailed(f"the external server's answer lacks {error.args[0]!r}") from error
    except (InvalidInput, TypeError, AttributeError, ValueError) as error:
        raise ModelFailed(f"the external server's answer breaks the protocol: {error}") from error


def _tensor(entry: Mapping[str, Any], spec: TensorSpec | None, tail: binary.Tail | None) -> Any:
    place = f"output {entry['name']!r}"
    datatype, shape = DataType(entry["datatype"]), [int(length) for length in entry["shape"]]
    if spec is not None and datatype is not spec.datatype:
        raise InvalidInput(f"{place}: is {datatype}, its metadata said {spec.datatype}")
    size = (entry.get("parameters") or {}).get("binary_data_size")
    if size is None:
        return arrays.shaped(arrays.array(entry["data"], datatype, place), shape, place)
    if tail is None:
        raise InvalidInput(f"{place}: is said to be binary, but the header {binary.HEADER} is missing")
    return binary.array(tail.take(size, place), datatype, shape, place)
