"""The bodies of requests and answers as OpenAPI tells them. For documentation and tests of the contract:
tensors are decoded by ``modelserve.protocol``, never by these models."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from modelserve.domain.guardrails import Segment
from modelserve.domain.inference import DataType


class _Body(BaseModel):
    model_config = ConfigDict(protected_namespaces=())


class Fault(_Body):
    error: str = Field(description="What is wrong, where, and what would be right.")
    code: str = Field(description="Stable; for programs.")
    retryable: bool = Field(description="Whether the same request may succeed later.")


class TensorParameters(_Body):
    binary_data_size: int | None = Field(None, ge=0, description="Bytes of the tensor behind the JSON.")


class InputTensor(_Body):
    name: str
    shape: list[int]
    datatype: DataType
    data: list[Any] | None = Field(
        None,
        description="Elements in row-major order, flat or nested; none if they follow the JSON as bytes.",
    )
    parameters: TensorParameters | None = None


class OutputParameters(_Body):
    binary_data: bool | None = Field(None, description="Whether the output is wanted as bytes.")


class RequestedOutput(_Body):
    name: str
    parameters: OutputParameters | None = None


class InferParameters(_Body):
    binary_data_output: bool | None = Field(None, description="Whether outputs are wanted as bytes.")
    timeout: int | None = Field(
        None, ge=0, description="Microseconds after which the client wants no answer any more; 0: no limit."
    )


class InferRequest(_Body):
    id: str | None = None
    inputs: list[InputTensor] = Field(min_length=1)
    outputs: list[RequestedOutput] | None = None
    parameters: InferParameters | None = None


class OutputTensor(_Body):
    name: str
    shape: list[int]
    datatype: DataType
    data: list[Any] | None = None
    parameters: TensorParameters | None = None


class InferResponse(_Body):
    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[OutputTensor]


class Rows(_Body):
    instances: list[Any] = Field(
        min_length=1, description="One row of the model's input, or of each by name."
    )


class Columns(_Body):
    inputs: list[Any] | dict[str, Any] = Field(description="The model's input, or each of them by name.")


class PredictResponse(_Body):
    """``predictions`` for rows, ``outputs`` for columns."""

    predictions: list[Any] | None = None
    outputs: Any = None


class GenerateRequest(_Body):
    """Besides these, a field for each input of the model."""

    model_config = ConfigDict(extra="allow")

    id: str | None = None
    parameters: dict[str, Any] | None = None


class GenerateResponse(_Body):
    """Besides these, a field for each output of the model."""

    model_config = ConfigDict(extra="allow", protected_namespaces=())

    model_name: str
    model_version: str
    id: str | None = None


class Encoded(_Body):
    b64: str = Field(description="A PNG, JPEG or WebP file in base64.")


class OneText(_Body):
    model_config = ConfigDict(extra="forbid")
    text: str


class ManyTexts(_Body):
    model_config = ConfigDict(extra="forbid")
    texts: list[str] = Field(min_length=1)


class OneImage(_Body):
    model_config = ConfigDict(extra="forbid")
    image: Encoded


class ManyImages(_Body):
    model_config = ConfigDict(extra="forbid")
    images: list[Encoded] = Field(min_length=1)


class EntityFound(_Body):
    text: str
    label: str
    score: float = Field(ge=0, le=1)
    start: int = Field(description="Code points from the start of the text.")
    end: int


class LabelFound(_Body):
    label: str
    score: float = Field(description="A probability in 0..1; of a regression, the value.")


class TaskAnswer(_Body):
    """``entities`` or ``labels`` for one item, ``results`` for a list."""

    model: str
    revision: str
    entities: list[EntityFound] | None = None
    labels: list[LabelFound] | None = None
    results: list[list[EntityFound | LabelFound]] | None = None


class ServerMetadata(_Body):
    name: str
    version: str
    extensions: list[str]


class TensorMetadata(_Body):
    name: str
    datatype: DataType
    shape: list[int] = Field(description="The batch axis first; -1 is any length.")


class Plan(_Body):
    """How the model is run: as told, as calibration found, or as usual."""

    workers: int
    workers_why: str | None = Field(
        None, description="Why each copy of the model takes one run at a time, where that is so."
    )
    cores_per_run: int
    max_batch: int
    batching: Literal["rows", "none"] = Field(
        description="Whether requests may share a run: rows of several do, or each runs alone and whole."
    )
    batching_why: str | None = Field(None, description="Why requests do not share runs, or not all do.")


class ModelMetadata(_Body):
    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]
    parameters: Plan


class ModelList(_Body):
    models: list[str]


class Alive(_Body):
    status: Literal["alive"] = "alive"


class Live(_Body):
    live: Literal[True] = True


class Ready(_Body):
    ready: Literal[True] = True


class ModelReady(_Body):
    name: str
    ready: Literal[True] = True


class RepositoryIndexRequest(_Body):
    ready: bool = Field(False, description="Whether only models in memory are wanted.")


class RepositoryChangeRequest(_Body):
    parameters: dict[str, Any] | None = None


class ModelState(_Body):
    name: str
    version: str = Field(description="Empty: every version.")
    state: Literal["READY", "LOADING", "UNLOADING", "UNAVAILABLE"]
    reason: str = Field(description="Why it is unavailable, or why it could not be loaded again.")


class ArmReading(_Body):
    requests: int = Field(description="Successes and failures of inference calls.")
    failures: int
    client_errors: int
    abandoned: int = Field(description="Calls whose client went away; in none of the others.")
    latency: list[int] = Field(description="Successes by latency bucket; the last is unbounded.")


class SegmentReading(_Body):
    name: str
    header: str | None
    by: str | None
    arms: dict[str, dict[str, tuple[int, int, int]]] = Field(
        description="Of each arm and part: since when it is counted (a number that rises with each part "
        "that is begun), calls answered or failed, and failures."
    )


class WantedSegments(_Body):
    segments: list[Segment] = Field(max_length=5, description="Empty: divide by nothing.")


class Figures(_Body):
    service: str
    revision: str
    epoch: str = Field(description="Changes whenever the process does; all counts start at 0 with it.")
    arms: dict[str, ArmReading]
    segments: list[SegmentReading]


class SampledAnswer(_Body):
    seq: int
    id: str
    arm: str
    status: int
    at: float = Field(description="Unix seconds.")
    answer: dict[str, Any] | None
    input: dict[str, Any] | None = Field(None, description="Of an original, where it may be kept.")


class AnswerPage(_Body):
    epoch: str
    next: int = Field(description="The ``after`` of the next reading.")
    oldest: int = Field(description="Number of the oldest answer kept; what is between was lost.")
    answers: list[SampledAnswer]


class WantedAnswers(BaseModel):
    model_config = ConfigDict(extra="forbid")

    ids: list[Annotated[str, Field(max_length=128)]] = Field(max_length=1000)


class FoundAnswers(_Body):
    epoch: str
    originals: int = Field(description="Answers to clients that were sampled since the process started.")
    answers: list[SampledAnswer]


class RememberedPrediction(_Body):
    seq: int
    id: str
    arm: str
    at: float = Field(description="When it was answered, in Unix seconds.")
    predicted: dict[str, Any]
    parts: dict[str, str] = Field(description="By segment, the part that the request belongs to.")


class PredictionPage(_Body):
    epoch: str
    revision: str
    next: int = Field(description="The ``after`` of the next reading.")
    oldest: int = Field(description="Number of the oldest prediction kept; what is between was lost.")
    predictions: list[RememberedPrediction]


BODIES: tuple[type[BaseModel], ...] = (
    InferRequest, GenerateRequest, Rows, Columns, OneText, ManyTexts, OneImage, ManyImages,
    RepositoryIndexRequest, RepositoryChangeRequest, WantedSegments,
)  # fmt: skip
"""What requests carry; no route has them as arguments, so the document must be told of them."""
