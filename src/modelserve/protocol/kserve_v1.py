"""KServe's first protocol, which is TensorFlow Serving's: rows or columns in, the same out.

*Rows*: ``{"instances": [...]}`` in, ``{"predictions": [...]}`` out. An instance is one row: for a tensor
model the nested list of its single input, or an object with one for each input; for a task model a text or
``{"b64": "..."}``. *Columns*: ``{"inputs": ...}`` in, ``{"outputs": ...}`` out, each the tensor itself where
there is one, else an object of tensors by name. An element of BYTES is a string or ``{"b64": "..."}``; an
output whose name ends in ``_bytes`` goes out in the latter form.

Source: https://www.tensorflow.org/tfx/serving/api_rest, "Predict API" and "Encoding binary values".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from modelserve.domain.inference import Array, DataType, InferenceResponse, Signature, Tensors, TensorSpec
from modelserve.domain.models import Task
from modelserve.errors import InvalidInput, ModelFailed, PayloadTooLarge
from modelserve.protocol import arrays, inputs, values
from modelserve.protocol.payload import Payload
from modelserve.protocol.tasks import answer_json

ROWS, COLUMNS = "instances", "inputs"
Specs = tuple[TensorSpec, ...]


@dataclass(frozen=True, slots=True)
class PredictCall:
    """What one call says: tensors for a tensor model, items for a task. ``rows``: in which form."""

    tensors: Tensors | None = None
    items: tuple[str | bytes, ...] | None = None
    rows: bool = True


def decode_tensors(body: bytes, signature: Signature) -> PredictCall:
    """One tensor for each input. Raises InvalidInput."""
    form, content = _content(body)
    if form == ROWS:
        return PredictCall(tensors=_from_rows(values.items(content, ROWS), signature))
    return PredictCall(tensors=_from_columns(content, signature), rows=False)


def _content(body: bytes) -> tuple[str, Any]:
    """Which form the call has, and what it holds."""
    fields = values.parse(body)
    forms = [form for form in (ROWS, COLUMNS) if form in fields]
    if len(forms) != 1:
        raise values.got("body", fields, 'send either {"instances": [...]} or {"inputs": ...}')
    return forms[0], fields[forms[0]]


def _from_rows(instances: list[Any], signature: Signature) -> Tensors:
    specs = signature.inputs
    if _named(instances[0], specs):
        return {spec.name: _column(instances, spec, specs) for spec in specs}
    if len(specs) != 1:
        names = values.listing(spec.name for spec in specs)
        raise values.got("instances[0]", instances[0], f"send an object with the inputs {names}")
    return {specs[0].name: _tensor(instances, specs[0], ROWS)}


def _named(value: object, specs: Specs) -> bool:
    """Whether it is an object of tensors by name, and not the bytes of one element."""
    if not isinstance(value, dict):
        return False
    bytes_alone = len(specs) == 1 and specs[0].datatype is DataType.BYTES and specs[0].name != "b64"
    return not (bytes_alone and set(value) == {"b64"})


def _column(instances: list[Any], spec: TensorSpec, specs: Specs) -> Array:
    column = []
    absent = _nulls(spec.shape[1:]) if spec.optional else None
    for index, instance in enumerate(instances):
        _check_names(instance, specs, f"{ROWS}[{index}]")
        value = instance.get(spec.name)
        column.append(absent if value is None else value)
    return _tensor(column, spec, f"{ROWS}[*].{spec.name}")


def _nulls(shape: tuple[int, ...]) -> Any:
    """What stands in one row for an input that was left out."""
    return [_nulls(shape[1:])] * shape[0] if shape else None


def _from_columns(columns: Any, signature: Signature) -> Tensors:
    specs = signature.inputs
    if len(specs) == 1 and not _named(columns, specs):
        return {specs[0].name: _tensor(columns, specs[0], COLUMNS)}
    _check_names(columns, specs, COLUMNS)
    given = [spec for spec in specs if columns.get(spec.name) is not None or not spec.optional]
    found = {spec.name: _tensor(columns[spec.name], spec, f"{COLUMNS}.{spec.name}") for spec in given}
    return inputs.whole(found, specs)


def _check_names(value: object, specs: Specs, place: str) -> None:
    """All names are known: one that is not is most likely a misspelt one, and a column that may be left out
    would then be missing without a word."""
    if not isinstance(value, dict) or set(value) != {spec.name for spec in specs}:
        required = {spec.name for spec in specs if not spec.optional}
        known = {spec.name for spec in specs}
        if not isinstance(value, dict) or not required <= set(value) <= known:
            raise values.got(place, value, f"send an object with exactly {inputs.told(specs)}")


def _tensor(rows: Any, spec: TensorSpec, place: str) -> Array:
    found = values.items(rows, place)
    if spec.datatype is DataType.BYTES:
        found = _decoded(found, place)
    stacked = inputs.array(found, spec, place)
    return stacked.reshape(inputs.fitted(stacked.shape, spec, place))


def _decoded(data: list[Any], place: str, depth: int = 1) -> list[Any]:
    """The same nested lists with the bytes of each ``{"b64": "..."}`` in its place."""
    if depth > arrays.MAX_RANK:
        return data
    return [
        _decoded(value, place, depth + 1)
        if isinstance(value, list)
        else values.b64(value, place)
        if isinstance(value, dict)
        else value
        for value in data
    ]


def decode_items(body: bytes, task: Task, max_items: int) -> PredictCall:
    """The texts or encoded images of all instances. Raises InvalidInput or PayloadTooLarge."""
    form, content = _content(body)
    entries = values.items(content, form)
    if len(entries) > max_items:
        raise PayloadTooLarge(f"{form}: got {len(entries)}; at most {max_items} fit in one request")
    items = tuple(_item(entry, task, f"{form}[{index}]") for index, entry in enumerate(entries))
    return PredictCall(items=items, rows=form == ROWS)


def _item(instance: object, task: Task, place: str) -> str | bytes:
    if task is Task.TOKEN_CLASSIFICATION:
        return values.text(instance, place)
    if task is Task.IMAGE_CLASSIFICATION:
        return values.b64(instance, place)
    raise InvalidInput(f"{place}: this model takes tensors")


def encode(response: InferenceResponse, call: PredictCall) -> Payload:
    """One prediction for each instance, or the outputs as columns.

    Raises ModelFailed for what JSON cannot say, and for outputs without a row for each instance.
    """
    if response.answers is not None:
        told: Any = [answer_json(answer) for answer in response.answers]
    elif call.rows:
        told = _as_rows(response.tensors or {})
    else:
        told = _as_columns(response.tensors or {})
    return Payload(arrays.dump({"predictions" if call.rows else "outputs": told}))


def _as_columns(tensors: Tensors) -> Any:
    outputs = {name: _said(data, name) for name, data in tensors.items()}
    return next(iter(outputs.values())) if len(outputs) == 1 else outputs


def _as_rows(tensors: Tensors) -> Any:
    counts = {data.shape[:1] for data in tensors.values()}
    if len(counts) != 1 or () in counts:
        raise ModelFailed("the outputs differ in their number of rows; ask for them as inputs, or at /v2")
    columns = [_said(data, name) for name, data in tensors.items()]
    if len(columns) == 1:
        return columns[0]
    return [dict(zip(tensors, row, strict=True)) for row in zip(*columns, strict=True)]


def _said(data: Array, name: str) -> Any:
    if data.dtype.kind == "O" and name.endswith("_bytes"):
        return _encoded(data.tolist())
    return arrays.json_list(arrays.sayable(data, name))


def _encoded(data: Any) -> Any:
    """Nested lists with ``{"b64": "..."}`` in the place of each element."""
    return [_encoded(value) for value in data] if isinstance(data, list) else values.as_b64(data)
