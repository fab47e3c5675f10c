"""The HTTP routes of a model server, and the OpenAPI document that tells the truth about them."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, cast

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from modelserve import __version__
from modelserve._kit.http_methods import HeadAsGet, allowed
from modelserve.errors import InvalidInput, ModelServeError, NotReady
from modelserve.protocol import events, faults, oip
from modelserve.serving import schemas
from modelserve.serving.answers import LIMIT
from modelserve.serving.body import Intake
from modelserve.serving.codecs import Codec, GenerateCodec, OipCodec, TaskCodec, V1Codec
from modelserve.serving.contracts import Plane
from modelserve.serving.dataplane import Dataplane
from modelserve.serving.dividing import add_segments, figures_of
from modelserve.serving.edge import Edge, exchange_of
from modelserve.serving.events import EventRoute, StreamRoute
from modelserve.serving.identity import Identity
from modelserve.serving.inference import InferenceRoute, Instruments, Ledger
from modelserve.serving.management import add_management
from modelserve.serving.openapi import body_of, faults_of, json_faults_of, tensors_of, truthful
from modelserve.settings import ServerSettings

PATHS = 1000
"""Paths of inference calls that are known without matching; clients choose them, so they are bounded."""
LONGEST_PATH = 256
"""Characters of a path that is known without matching."""
_INFERENCE_FAULTS = faults_of(400, 404, 413, 415, 500, 503, 504)


def create_app(settings: ServerSettings, plane: Dataplane, instruments: Instruments) -> Edge:
    """The server as an ASGI application; its ``api`` is the FastAPI application inside."""
    api = FastAPI(
        title=f"ModelServe: {settings.service}",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    inference = _inference_routes(settings, plane, instruments)
    api.router.routes.extend(inference)
    _add_health(api, plane)
    _add_metadata(api, plane, settings.timeout)
    _add_readiness(api, plane)
    add_management(api, plane)
    add_segments(api, instruments)
    _add_insight(api, instruments)
    _add_fault_handlers(api)
    truthful(api)
    return _edge(settings, plane, instruments, _ExpressLane(inference, HeadAsGet(api)))


def create_front(settings: ServerSettings, plane: Plane, ledger: Ledger, otherwise: ASGIApp) -> Edge:
    """The inference routes alone; ``otherwise`` answers everything else."""
    lane = _ExpressLane(_inference_routes(settings, plane, ledger), HeadAsGet(otherwise))
    return _edge(settings, plane, ledger, lane)


def _edge(settings: ServerSettings, plane: Plane, ledger: Ledger, lane: _ExpressLane) -> Edge:
    return Edge(
        lane,
        identity=Identity(settings.service, settings.revision),
        timeout=settings.timeout,
        find=lane.find,
        closing=lambda: plane.draining,
        log=ledger.log,
        segments=ledger.segments,
    )


class _Events(Response):
    """What the document says of an answer that is always a stream of events."""

    media_type = events.CONTENT_TYPE.decode()


_EVENTS: dict[int | str, dict[str, Any]] = {
    200: {"content": {_Events.media_type: {"schema": {"type": "string"}}}}
}


class _RawRoute(APIRoute):
    """A route whose ASGI application is called as it is. The endpoint's name, arguments and docstring are its
    documentation: FastAPI's way of calling one costs more than a small model."""

    def __init__(self, path: str, endpoint: Callable[..., Any], raw: ASGIApp, **told: Any) -> None:
        super().__init__(path, endpoint, methods=["POST"], **told)
        self.app = raw


class _ExpressLane:
    """Takes inference calls straight to their routes, and everything else through FastAPI."""

    def __init__(self, routes: Sequence[_RawRoute], otherwise: ASGIApp) -> None:
        self._routes = [(route.path_regex, route.app) for route in routes]
        self._otherwise = otherwise
        self._known: dict[str, tuple[ASGIApp, dict[str, Any]]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST":
            found = self.find(scope["path"])
            if found is not None:
                app, scope["path_params"] = found
                await app(scope, receive, send)
                return
        await self._otherwise(scope, receive, send)

    def find(self, path: str) -> tuple[ASGIApp, dict[str, Any]] | None:
        if (known := self._known.get(path)) is not None:
            return known
        for pattern, app in self._routes:
            if match := pattern.match(path):
                if len(self._known) >= PATHS:
                    self._known.clear()
                found = app, match.groupdict()
                if len(path) <= LONGEST_PATH:
                    self._known[path] = found
                return found
        return None


def _inference_routes(settings: ServerSettings, plane: Plane, ledger: Ledger) -> list[_RawRoute]:
    intake = Intake(settings.max_body)

    async def infer(model: str) -> None:
        """Tensors in, tensors out (Open Inference Protocol v2); piece by piece if you accept events."""

    async def infer_version(model: str, version: str) -> None:
        """Tensors in, tensors out, if this server is that revision."""

    async def predict(model: str) -> None:
        """Instances in, predictions out (KServe v1)."""

    async def ask(model: str) -> None:
        """A text or an image in, entities or labels out."""

    async def generate(model: str) -> None:
        """One row of named values in, named values out (the generate extension)."""

    async def generate_stream(model: str) -> None:
        """One row of named values in, an event with named values out for each piece of the answer."""

    def route(
        path: str, codec: Codec, documented: Callable[..., Any], answer: type | None, body: Any,
        kind: type[InferenceRoute] = InferenceRoute,
    ) -> _RawRoute:  # fmt: skip
        raw = kind(plane, codec, ledger, intake)
        responses = _INFERENCE_FAULTS | (_EVENTS if issubclass(kind, EventRoute) else {})
        told: dict[str, Any] = {"response_model": answer, "responses": responses}
        if answer is None:
            told |= {"response_class": _Events, "responses": json_faults_of(*_INFERENCE_FAULTS)}
        return _RawRoute(path, documented, raw, openapi_extra=body, **told)

    most = settings.max_items
    oip_codec, v1, task = OipCodec(most), V1Codec(most), TaskCodec(most)
    tensors, rows = tensors_of(schemas.InferRequest), body_of(schemas.Rows, schemas.Columns)
    questions = body_of(
        schemas.OneText, schemas.ManyTexts, schemas.OneImage, schemas.ManyImages, uploads=True
    )
    of_version = "/v2/models/{model}/versions/{version}/infer"
    row, generated = GenerateCodec(), body_of(schemas.GenerateRequest)
    return [
        route("/v2/models/{model}/infer", oip_codec, infer, schemas.InferResponse, tensors, EventRoute),
        route("/predict/{model}", task, ask, schemas.TaskAnswer, questions),
        route("/v1/models/{model}:predict", v1, predict, schemas.PredictResponse, rows),
        route(of_version, oip_codec, infer_version, schemas.InferResponse, tensors, EventRoute),
        route("/v2/models/{model}/generate", row, generate, schemas.GenerateResponse, generated),
        route("/v2/models/{model}/generate_stream", row, generate_stream, None, generated, StreamRoute),
    ]


def _add_health(api: FastAPI, plane: Dataplane) -> None:
    @api.get("/v2", response_model=schemas.ServerMetadata)
    async def server_metadata() -> Any:
        """What this server is and which extensions of the protocol it speaks."""
        return oip.server_metadata(__version__, repository=plane.repository.on_demand)

    @api.get("/", response_model=schemas.Alive)
    async def alive() -> Any:
        """Whether the process answers (KServe v1)."""
        return {"status": "alive"}

    @api.get("/v2/health/live", response_model=schemas.Live)
    async def live() -> Any:
        """Whether the process answers."""
        return {"live": True}

    @api.get("/v2/health/ready", response_model=schemas.Ready, responses=faults_of(503))
    async def ready() -> Any:
        """Whether what is there from the start is loaded and warm, and the process is not stopping."""
        plane.require_ready()
        return {"ready": True}


def _add_metadata(api: FastAPI, plane: Dataplane, timeout: float) -> None:
    told: dict[str, Any] = {
        "response_model": schemas.ModelMetadata,
        "response_model_exclude_none": True,
        "responses": faults_of(404, 503, 504),
    }

    async def metadata(model: str, version: str | None = None) -> dict[str, Any]:
        served = await plane.model(model, version, time.monotonic() + timeout)
        said = oip.model_metadata(served.name, served.revision, served.signature, served.runtime)
        return said | {"parameters": served.parameters}

    @api.get("/v2/models/{model}", **told)
    async def model_metadata(model: str) -> Any:
        """The tensors that the model takes and gives."""
        return await metadata(model)

    @api.get("/v2/models/{model}/versions/{version}", **told)
    async def version_metadata(model: str, version: str) -> Any:
        """The tensors that this revision of the model takes and gives."""
        return await metadata(model, version)


def _add_readiness(api: FastAPI, plane: Dataplane) -> None:
    told: dict[str, Any] = {"response_model": schemas.ModelReady, "responses": faults_of(404, 503)}

    def readiness(model: str, version: str | None = None) -> dict[str, Any]:
        served = plane.repository.require(model, version)
        plane.require_ready()
        if not served.available:
            raise NotReady("the engine is out of reach", retry_after=1.0)
        return {"name": model, "ready": True}

    @api.get("/v2/models/{model}/ready", **told)
    async def model_ready(model: str) -> Any:
        """Whether the model is ready."""
        return readiness(model)

    @api.get("/v2/models/{model}/versions/{version}/ready", **told)
    async def version_ready(model: str, version: str) -> Any:
        """Whether this revision of the model is ready."""
        return readiness(model, version)

    @api.get("/v1/models", response_model=schemas.ModelList)
    async def v1_models() -> Any:
        """The models of this server (KServe v1)."""
        return {"models": plane.repository.names()}

    @api.get("/v1/models/{model}", **told)
    async def v1_ready(model: str) -> Any:
        """Whether the model is ready (KServe v1)."""
        return readiness(model)


def _add_insight(api: FastAPI, instruments: Instruments) -> None:
    @api.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def metrics() -> Response:
        """Everything that is counted, for Prometheus."""
        kind = "text/plain; version=0.0.4; charset=utf-8"
        return Response(instruments.telemetry.exposition(), media_type=kind)

    @api.get("/internal/figures", response_model=schemas.Figures)
    async def figures() -> Any:
        """Counts of inference calls by arm since the process started, for the judge."""
        return figures_of(instruments)

    pages: dict[int | str, dict[str, Any]] = {200: {"model": schemas.AnswerPage}, **faults_of(400)}

    @api.get("/internal/answers", response_class=Response, responses=pages)
    async def answers(
        after: Annotated[int, Query(ge=0, le=2**63 - 1)] = 0,
        limit: Annotated[int, Query(ge=1, le=LIMIT)] = LIMIT,
    ) -> Response:
        """Sampled answers above a number, oldest first, for the comparison of revisions."""
        return Response(instruments.answers.after(after, limit), media_type="application/json")

    found: dict[int | str, dict[str, Any]] = {200: {"model": schemas.FoundAnswers}, **faults_of(400)}

    @api.post("/internal/answers/find", response_class=Response, responses=found)
    async def find_answers(wanted: schemas.WantedAnswers) -> Response:
        """The sampled answers to some requests, by their ids."""
        return Response(instruments.answers.of(wanted.ids), media_type="application/json")

    told: dict[int | str, dict[str, Any]] = {200: {"model": schemas.PredictionPage}, **faults_of(400)}

    @api.get("/internal/predictions", response_class=Response, responses=told)
    async def predictions(
        after: Annotated[int, Query(ge=0, le=2**63 - 1)] = 0,
        limit: Annotated[int, Query(ge=1, le=LIMIT)] = LIMIT,
    ) -> Response:
        """What live requests were answered, above a number, oldest first, for labels that come later."""
        page = instruments.answers.predictions.after(after, limit, instruments.telemetry.own.revision)
        return Response(page, media_type="application/json")


def _add_fault_handlers(api: FastAPI) -> None:
    def fault(status: int, body: bytes, headers: Any = None) -> Response:
        return Response(body, status, headers=headers, media_type="application/json")

    async def known(_: Request, error: Exception) -> Response:
        told = cast(ModelServeError, error)
        headers = {name.decode(): value.decode() for name, value in faults.headers(told)}
        return fault(told.status, faults.body(told), headers)

    async def invalid(request: Request, error: Exception) -> Response:
        problems = cast(RequestValidationError, error).errors()
        told = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in problems)
        return await known(request, InvalidInput(told))

    async def unrouted(request: Request, error: Exception) -> Response:
        refused = cast(HTTPException, error)
        code, message = _UNROUTED.get(refused.status_code, ("http_error", str(refused.detail)))
        headers = refused.headers
        if refused.status_code == 405:
            headers = {"allow": allowed(api.routes, request.scope)}
        return fault(refused.status_code, faults.plain(message, code), headers)

    async def defect(request: Request, error: Exception) -> Response:
        """The edge logs it."""
        return await known(request, faults.told(error, exchange_of(request.scope).request_id))

    handlers: dict[Any, Callable[[Request, Exception], Awaitable[Response]]] = {
        ModelServeError: known,
        RequestValidationError: invalid,
        HTTPException: unrouted,
        Exception: defect,
    }
    for kind, handler in handlers.items():
        api.add_exception_handler(kind, handler)


_UNROUTED = {
    404: ("not_found", "no such route; /openapi.json lists them"),
    405: ("method_not_allowed", "this route takes other methods; the allow header lists them"),
}
