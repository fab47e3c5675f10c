"""The spec of a model service: the typed model behind the file, its JSON Schema and the cluster's CRD.

Every field has a default that a careful engineer would choose; ``model.uri`` alone is a complete spec.
"""

from __future__ import annotations

from enum import StrEnum
from itertools import pairwise
from typing import Annotated, Any, Final, Literal

from pydantic import Field, GetJsonSchemaHandler, field_validator, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import core_schema

from modelserve.domain.guardrails import DEFAULT_GUARDRAILS, Guardrail, Metric, Segment
from modelserve.domain.models import Device, Runtime, Task
from modelserve.domain.quantities import Bytes, Duration, Percent
from modelserve.domain.sections import Section

API_VERSION: Final = "modelserve.ai/v1alpha1"

Name = Annotated[
    str,
    Field(
        pattern=r"^[a-z]([a-z0-9-]{0,46}[a-z0-9])?$",
        description="Lower-case letters, digits and dashes; starts with a letter; at most 48.",
    ),
]


class ModelRef(Section):
    """Which model."""

    uri: Annotated[str, Field(min_length=1, max_length=2048)]
    """Where the package lies: a path (relative to the spec file), or a file, s3, https, hf or models URI. For
    the runtime ``external``: ``http(s)://host:port/v2/models/NAME`` of another server."""
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    """What the artefact must be, as ``modelserve models --json`` tells it; anything else is refused."""
    runtime: Runtime | None = None
    """The engine that runs the model file; found from the package's files when left out."""
    task: Task | None = None
    """What the model is for; read from the package when left out."""


class BatchingMode(StrEnum):
    """Which requests may share a run of the model; one that may not is never cut into several runs either."""

    AUTO = "auto"
    """Those of a model whose rows are independent by the names of its axes and by a trial at load."""
    NONE = "none"
    """No two: every request runs alone and whole."""
    INDEPENDENT = "independent"
    """All: the owner says that rows are independent. A trial that shows otherwise fails the load."""

    @property
    def setting(self) -> bool | None:
        """As a model server is told."""
        return {BatchingMode.AUTO: None, BatchingMode.NONE: False, BatchingMode.INDEPENDENT: True}[self]


class Batching(Section):
    """Many requests, one run of the model. A mode may stand in place of all, and ``true`` for independent."""

    mode: BatchingMode = BatchingMode.AUTO
    """Which requests may share a run: ``auto`` finds out, ``none`` runs each alone and whole,
    ``independent`` says that a model's rows don't depend on each other where its file does not tell."""
    max_size: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Items in one batch. Measured at the first start when left out: the fewest that make the model about as
    fast as it gets; 8 where that can't be measured."""
    max_delay: Annotated[Duration, Field(le=10)] = 0.0
    """How long a free worker waits for company. 0: never, a batch is what came while the last one ran."""

    @model_validator(mode="before")
    @classmethod
    def _from_a_word(cls, value: Any) -> Any:
        if isinstance(value, bool):
            return {"mode": BatchingMode.INDEPENDENT if value else BatchingMode.NONE}
        return {"mode": value} if isinstance(value, str) else value

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"anyOf": [handler(schema), {"enum": [*BatchingMode, True, False]}]}


class WarmUp(StrEnum):
    """Whether a model must answer inputs that are made up from its signature before anyone waits for it."""

    RUN = "run"
    SKIP = "skip"


class Queue(Section):
    """What waits for a free worker."""

    max_waiting: Annotated[int, Field(ge=1, le=100_000)] = 256
    """Requests; one more is refused at once with 503 and Retry-After."""
    timeout: Annotated[Duration, Field(gt=0, le=600)] = 10.0
    """From arrival to answer; what can't make it is refused before it runs."""


class IsolationMode(StrEnum):
    """Where an engine runs: in the model server's process, or in processes of its own."""

    NONE = "none"
    PROCESS = "process"


class Isolation(Section):
    """What of an engine must not touch the model server: its crash, its hang, its growth.

    The runtime ``python`` always has processes of its own.
    """

    mode: IsolationMode = IsolationMode.NONE
    """``process``: a crash of the engine fails the batches in it, and the engine is started again."""
    processes: Annotated[int, Field(ge=1, le=64)] = 1
    """Processes of the engine, each with the whole model in its memory."""
    max_run: Annotated[Duration, Field(gt=0, le=3600)] = 60.0
    """Longest time of one run of the model; after it the process is killed and started again."""
    max_memory: Annotated[Bytes, Field(ge=1)] | None = None
    """Resident memory of one process from which it is replaced between two runs; unbounded when left out."""


class Cache(Section):
    """Answers that are given again to the same question, without a run of the model."""

    ttl: Annotated[Duration, Field(gt=0, le=604_800)] = 300.0
    """How long an answer may be given again."""
    max_bytes: Annotated[Bytes, Field(ge=1024**2, le=64 * 1024**3)] = 64 * 1024**2
    """Memory for answers in each model server; a shared store has a bound of its own."""


class FeatureCache(Section):
    """Prepared inputs (the tokens of a text, the pixels of an image) that are used again."""

    max_bytes: Annotated[Bytes, Field(ge=1024**2, le=64 * 1024**3)] = 64 * 1024**2
    """Memory for prepared inputs in each model server."""


class Server(Section):
    """How a model server runs."""

    batching: Batching = Batching()
    """How requests share a run of the model."""
    warm_up: WarmUp = WarmUp.RUN
    """``skip`` for a model that takes only inputs of a kind that no signature tells: it is served without a
    run before, and its requests run alone."""
    queue: Queue = Queue()
    """How many requests wait, and how long."""
    threads: Annotated[int, Field(ge=1, le=256)] | None = None
    """Batches that run at the same time. When left out as many as there are cores, or fewer with more cores
    for each where a measurement at the first start finds this clearly faster."""
    cores_per_run: Annotated[int, Field(ge=1, le=256)] | None = None
    """Cores that one run may use (runtime ``onnx``); 1 when left out beside ``threads``, else measured. More
    make a lone request faster and, with most models, the server slower."""
    device: Device = Device.AUTO
    """Where the engine runs: ``auto`` takes a GPU if the engine finds one, ``cuda`` and ``tensorrt`` (runtime
    ``onnx``) insist on it."""
    http_workers: Annotated[int, Field(ge=0, le=64)] = 0
    """Processes that read and write HTTP in front of the one with the model; 0: one process does it all."""
    isolation: Isolation = Isolation()
    """Whether the engine has processes of its own."""
    cache: Cache | None = None
    """Whether answers are given again; null: every request runs the model."""
    feature_cache: FeatureCache | None = None
    """Whether prepared inputs are used again; null: every input is prepared anew."""


class Scaling(Section):
    """How many model servers run."""

    min: Annotated[int, Field(ge=1, le=64)] = 1
    """Replicas of each revision that takes traffic."""


class OnDisagreement(StrEnum):
    """What follows when shadow answers differ too often."""

    HOLD = "hold"
    ROLL_BACK = "rollBack"


class Compare(Section):
    """When two answers to one request count as different. Labels and entities must be equal."""

    score_tolerance: Annotated[float, Field(ge=0, le=1)] | None = None
    """How far the score of the same label may move; null: as far as it likes."""
    relative_tolerance: Annotated[float, Field(ge=0, le=1)] = 1e-2
    """How far an element of a tensor may move, as a part of its value."""
    absolute_tolerance: Annotated[float, Field(ge=0)] = 1e-3
    """How far an element of a tensor may move in any case; the larger of the two counts."""
    python: Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")] | None = None
    """``module:function`` of the owner's in place of all this, called with stable's and the candidate's
    answer; returns how much they differ in 0..1, or a bool. Only where the operator allows code."""


class Shadow(Section):
    """Copies of live requests to the candidate before any client sees its answers."""

    share: Annotated[Percent, Field(gt=0, le=1)] = 0.2
    """Share of the live requests that are copied."""
    min_pairs: Annotated[int, Field(ge=1, le=1_000_000)] = 200
    """Answers of both versions to the same request that must be compared."""
    max_disagreement: Annotated[Percent, Field(ge=0, le=1)] = 0.05
    """Largest share of pairs in which the candidate may answer differently."""
    on_disagreement: OnDisagreement = OnDisagreement.ROLL_BACK
    """What follows when the answers differ too often."""
    compare: Compare = Compare()
    """When two answers count as different."""
    noise_floor: bool | None = None
    """Whether stable answers each copy too, so that what it differs from itself is not held against the
    candidate. When left out: if the stable revision's package is not deterministic."""
    keep_inputs: bool = True
    """Whether the requests on which the versions differ most are kept, in memory, for ``shadow diff``."""


MEASURED_STEPS = (0.01, 0.05, 0.1, 0.2, 0.5, 1.0)
"""The weights of a rollout whose spec leaves ``steps`` out; where it begins depends on the traffic."""


class Bake(Section):
    """The candidate has nearly everything; stable keeps a holdback to compare with."""

    holdback: Annotated[Percent, Field(gt=0, le=0.5)] = 0.1
    """Share of live traffic that stays with the stable revision."""
    time: Annotated[Duration, Field(gt=0)] = 600.0
    """How long; faults that depend on time need time."""

    @property
    def weight(self) -> float:
        """The candidate's share of live traffic meanwhile."""
        return round(1 - self.holdback, 9)


class Canary(Section):
    """The weights that a candidate climbs. Time is not here: evidence decides when."""

    steps: Annotated[tuple[Percent, ...], Field(min_length=1, max_length=20)] | None = None
    """Shares of live traffic for the candidate: each larger than the one before, the last 100%. When left
    out: 1, 5, 10, 20, 50 and 100%, from the first one on that gives it two requests per second (20% at the
    most)."""
    min_step: Duration = 30.0
    """Least time at one step, for faults that need time to show."""
    bake: Bake | None = Bake()
    """A last step with a small rest for the stable revision, so that the comparison goes on; null: none. When
    left out: 10 minutes with 10%, unless ``steps`` are given."""

    @property
    def ladder(self) -> tuple[float, ...]:
        """All weights, the bake's among them; the last is 1."""
        steps = self.steps or MEASURED_STEPS
        if self.bake is None or self.bake.weight in steps:
            return steps
        return (*steps[:-1], self.bake.weight, 1.0)

    def least_time(self, weight: float) -> float:
        """Seconds to stay at ``weight``."""
        return self.bake.time if self.bake and weight == self.bake.weight else self.min_step

    @model_validator(mode="after")
    def _bake_is_above_the_steps(self) -> Canary:
        if self.steps is not None and "bake" not in self.model_fields_set:
            object.__setattr__(self, "bake", None)  # frozen for everybody else
        if self.bake and any(self.bake.weight < step < 1 for step in self.steps or ()):
            raise ValueError("bake.holdback is more than the last step before 100% leaves to stable")
        return self

    @field_validator("steps")
    @classmethod
    def _climb(cls, steps: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if steps is None:
            return None
        if any(b <= a for a, b in pairwise(steps)) or not 0 < steps[0] <= 1:
            raise ValueError('steps must climb, such as ["5%", "25%", "50%", "100%"]')
        if steps[-1] != 1.0:
            raise ValueError('the last step must be "100%"')
        return steps


class OnDeadline(StrEnum):
    """What follows when a rollout is still undecided at its deadline."""

    HOLD = "hold"
    PROMOTE = "promote"
    ROLL_BACK = "rollBack"


class Judge(Section):
    """The promise: how often the judge may be wrong."""

    false_rollback: Annotated[Percent, Field(gt=0, lt=0.5)] = 0.01
    """Largest chance of rolling back a healthy candidate, over the whole rollout and all guardrails."""
    false_promotion: Annotated[Percent, Field(gt=0, lt=0.5)] = 0.05
    """Largest chance of promoting a candidate that is worse than a guardrail's margin."""
    guardrails: Annotated[tuple[Guardrail, ...], Field(min_length=1, max_length=20)] = DEFAULT_GUARDRAILS
    """What the candidate must not make worse; each once."""
    segments: Annotated[tuple[Segment, ...], Field(max_length=5)] = ()
    """Ways to divide requests that guardrails may name."""
    warm_up: Annotated[Duration, Field(le=600)] = 10.0
    """Time from its first live request in which the candidate's latency does not count: caches fill."""
    deadline: Annotated[Duration, Field(gt=0)] = 86400.0
    """After this long without a decision, pauses aside, ``onDeadline`` applies."""
    on_deadline: OnDeadline = OnDeadline.HOLD
    """What happens to a rollout that is still undecided at the deadline."""

    @model_validator(mode="after")
    def _guards_each_once(self) -> Judge:
        keys = [guardrail.key for guardrail in self.guardrails]
        if len(set(keys)) != len(keys):
            raise ValueError("each metric may be guarded once")
        known = {segment.name for segment in self.segments}
        unknown = {g.segment for g in self.guardrails if g.segment} - known
        if unknown:
            names = ", ".join(sorted(unknown))
            raise ValueError(f"segments lacks what a guardrail names: {names}")
        answers = {segment.name for segment in self.segments if segment.by == "answer"}
        if any(g.metric is Metric.ERROR_RATE and g.segment in answers for g in self.guardrails):
            raise ValueError("error_rate can't be divided by the answer: what failed has none")
        return self


class RolloutSpec(Section):
    """How a new revision takes over."""

    shadow: Shadow | None = Shadow()
    """null: no shadow stage."""
    canary: Canary = Canary()
    """The steps on which the candidate answers live requests."""
    judge: Judge = Judge()
    """What decides, and how sure it has to be."""
    loading_timeout: Annotated[Duration, Field(gt=0)] = 120.0
    """A candidate that is not ready by then is rolled back."""
    probation: Duration = 1800.0
    """The old revision stays parked this long after the promotion; a late regression brings it back."""


class ServiceSpec(Section):
    """Everything about the service but its name."""

    model: ModelRef
    """The model to serve; a change of it starts a rollout."""
    server: Server = Server()
    """How each of its model servers runs."""
    scaling: Scaling = Scaling()
    """Bounds on the number of its model servers."""
    rollout: RolloutSpec = RolloutSpec()
    """How a new revision takes over from the old one."""


class Metadata(Section):
    """How the service is known."""

    name: Name


class ModelService(Section):
    """One spec file, whole."""

    api_version: Literal["modelserve.ai/v1alpha1"] = API_VERSION
    """The version of this file's format."""
    kind: Literal["ModelService"] = "ModelService"
    """What the file describes."""
    metadata: Metadata
    """What the service is called."""
    spec: ServiceSpec
    """What the service is."""

    @property
    def name(self) -> str:
        return self.metadata.name
