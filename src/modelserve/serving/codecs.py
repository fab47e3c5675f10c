"""The protocols as the edge sees them: bytes to a request, a response to bytes.

A codec's ``decode`` gives the request and an encoder that remembers how the client wants to be answered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from modelserve.domain.inference import DataType, InferenceRequest, InferenceResponse
from modelserve.domain.models import Task
from modelserve.protocol import arrays, binary, generate, kserve_v1, oip, tasks
from modelserve.protocol.binary import Buffer
from modelserve.protocol.payload import Payload
from modelserve.serving.contracts import Described
from modelserve.serving.exchange import Exchange

Encoder = Callable[[InferenceResponse], Payload]


@dataclass(slots=True)
class Incoming:
    """One client call: the names in its path, its headers and its body."""

    exchange: Exchange
    model: str
    revision: str | None
    body: Buffer = field(repr=False)
    arrival: float
    """Reading of the monotonic clock when the last byte of the body was here; seconds."""

    @property
    def content(self) -> bytes:
        """The body for a protocol in which all of it is one thing."""
        return self.body if isinstance(self.body, bytes) else bytes(self.body)

    @property
    def deadline(self) -> float:
        return self.arrival + self.exchange.time_limit

    def hurry(self, patience: float | None) -> None:
        """The client waits for no longer than so many seconds."""
        if patience is not None:
            self.exchange.time_limit = min(self.exchange.time_limit, patience)

    def request(self, **content: Any) -> InferenceRequest:
        return InferenceRequest(
            model=self.model,
            revision=self.revision,
            request_id=self.exchange.request_id,
            deadline=self.deadline,
            cache=self.exchange.cache,
            priority=self.exchange.priority,
            **content,
        )


class Codec(Protocol):
    name: str

    def largest_body(self, served: Described) -> int | None:
        """Bytes that a body can have which this model answers; None if unknown."""

    def work(self, incoming: Incoming, served: Described) -> int:
        """Bytes of the body that are taken apart one by one."""

    def decode(self, incoming: Incoming, served: Described) -> tuple[InferenceRequest, Encoder]:
        """Raises InvalidInput, PayloadTooLarge or UnsupportedMedia."""


class OipCodec:
    name = "oip"

    def __init__(self, max_items: int) -> None:
        self._max_items = max_items

    def largest_body(self, served: Described) -> int | None:
        return arrays.largest_body(served.signature, self._max_items)

    def work(self, incoming: Incoming, served: Described) -> int:
        told = binary.json_length(incoming.exchange.json_length)
        strings = any(spec.datatype is DataType.BYTES for spec in served.signature.inputs)
        return len(incoming.body) if told is None or strings else told

    def decode(self, incoming: Incoming, served: Described) -> tuple[InferenceRequest, Encoder]:
        exchange = incoming.exchange
        tasks.require_json(exchange.content_type, binary.CONTENT_TYPE.decode())
        call = oip.decode(incoming.body, served.signature, exchange.json_length)
        incoming.hurry(call.patience)
        return incoming.request(tensors=call.tensors, outputs=call.outputs), partial(oip.encode, call=call)


class GenerateCodec:
    name = "generate"

    def largest_body(self, served: Described) -> int | None:
        return arrays.largest_body(served.signature, 1)

    def work(self, incoming: Incoming, served: Described) -> int:
        return len(incoming.body)

    def decode(self, incoming: Incoming, served: Described) -> tuple[InferenceRequest, Encoder]:
        tasks.require_json(incoming.exchange.content_type)
        call = generate.decode(incoming.content, served.signature)
        incoming.hurry(call.patience)
        return incoming.request(tensors=call.tensors), partial(generate.encode, call=call)


class V1Codec:
    name = "v1"

    def __init__(self, max_items: int) -> None:
        self._max_items = max_items

    def largest_body(self, served: Described) -> int | None:
        tensors = served.task is Task.TENSOR
        return arrays.largest_body(served.signature, self._max_items) if tensors else None

    def work(self, incoming: Incoming, served: Described) -> int:
        return len(incoming.body)

    def decode(self, incoming: Incoming, served: Described) -> tuple[InferenceRequest, Encoder]:
        tasks.require_json(incoming.exchange.content_type)
        if served.task is Task.TENSOR:
            call = kserve_v1.decode_tensors(incoming.content, served.signature)
        else:
            call = kserve_v1.decode_items(incoming.content, served.task, self._max_items)
        return incoming.request(tensors=call.tensors, items=call.items), partial(kserve_v1.encode, call=call)


class TaskCodec:
    name = "task"

    def __init__(self, max_items: int) -> None:
        self._max_items = max_items

    def largest_body(self, served: Described) -> int | None:
        """Texts and images have any size."""

    def work(self, incoming: Incoming, served: Described) -> int:
        return len(incoming.body)

    def decode(self, incoming: Incoming, served: Described) -> tuple[InferenceRequest, Encoder]:
        call = tasks.decode(incoming.content, incoming.exchange.content_type, served.task, self._max_items)
        return incoming.request(items=call.items), partial(tasks.encode, call=call)
