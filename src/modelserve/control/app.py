"""The control API: what people and programs may ask of, and tell, the controller.

Errors are RFC 9457 problem details. What a page elsewhere makes a browser send is refused (``origin.py``).
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Path, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from modelserve import __version__
from modelserve._kit.http_heads import host_trouble
from modelserve._kit.http_methods import HeadAsGet, allowed
from modelserve.control import artefacts, changes, views
from modelserve.control.audit_api import audit_routes
from modelserve.control.bodies import read_at_most
from modelserve.control.experiments_api import experiment_routes, metrics_route
from modelserve.control.judging.api import judge_routes
from modelserve.control.labels_api import labels_routes
from modelserve.control.origin import foreign, of_inference, open_to_any_name
from modelserve.control.platform import Platform
from modelserve.control.registry_api import registry_routes
from modelserve.control.shadow_api import shadow_routes
from modelserve.domain.inference import EXTENSIONS
from modelserve.domain.rollouts import Command
from modelserve.domain.workloads import ReplicaPhase
from modelserve.errors import (
    InvalidInput,
    InvalidSpec,
    ModelServeError,
    UnsupportedMedia,
)
from modelserve.manifest import parse
from modelserve.routing.table import revisions

MAX_SPEC_BYTES = 256 * 1024
MAX_BYTES = 2**62
SPEC_MEDIA = ("application/json", "application/yaml", "application/x-yaml", "text/yaml")

Json = dict[str, Any]
Name = Annotated[str, Path(max_length=64, description="Name of a model service")]
PROBLEM = {
    "description": "Problem details (RFC 9457)",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
PROBLEMS: dict[int | str, dict[str, Any]] = dict.fromkeys((400, 404, 409, 422, 503), PROBLEM)
SPEC_BODY = {
    "requestBody": {
        "required": True,
        "content": {media: {"schema": {"type": "object"}} for media in ("application/json",)},
    }
}

log = logging.getLogger("modelserve.control")


def create_app(platform: Platform) -> FastAPI:
    """The whole API over one platform."""
    app = FastAPI(title="ModelServe control API", version=__version__, docs_url=None, redoc_url=None)
    app.include_router(_services(platform))
    app.include_router(_rollouts(platform))
    app.include_router(audit_routes(platform, PROBLEMS))
    app.include_router(registry_routes(platform, PROBLEMS))
    app.include_router(experiment_routes(platform, PROBLEMS, _spec_text))
    app.include_router(metrics_route(platform, PROBLEMS))
    app.include_router(shadow_routes(platform, PROBLEMS))
    app.include_router(judge_routes(platform.judgements, platform.prometheus, PROBLEMS))
    app.include_router(labels_routes(platform, PROBLEMS))
    app.include_router(_server(platform))
    tell_problems(app)
    return app


def _services(platform: Platform) -> APIRouter:
    api = APIRouter(prefix="/api/v1", responses=PROBLEMS)

    @api.get("/status")
    async def status() -> Json:
        """Everything: services, replicas, rollouts and what could not be done."""
        return views.platform_view(platform)

    @api.post("/artefacts/gc")
    async def collect(keep: Annotated[int, Query(ge=0, le=MAX_BYTES)] = 0) -> Json:
        """Drop artefacts that nothing names until at most ``keep`` bytes are left."""
        left = await artefacts.collect(platform, keep)
        size = sum(artefact.size for artefact in left)
        message = f"{len(left)} artefacts left the store, {size} bytes in all"
        return {"message": message, "bytes": size, "digests": [artefact.digest for artefact in left]}

    @api.get("/services/{name}")
    async def service(name: Name) -> Json:
        found = platform.book.service(name)
        return views.service_view(platform, found) | {"spec": dict(found.document)}

    @api.put("/services/{name}", openapi_extra=SPEC_BODY, responses={413: PROBLEM, 415: PROBLEM})
    async def apply(name: Name, request: Request) -> Json:
        """Create or change a service; a path in ``spec.model.uri`` must be absolute.

        503 with the code ``fetching`` while the model is on its way: send it again to wait on.
        """
        spec = parse(await _spec_text(request), "request body")
        if spec.name != name:
            raise InvalidSpec(f"metadata.name: got {spec.name!r}, but the path says {name!r}: write one name")
        changed, message = await changes.apply(platform, spec)
        return {"message": message, "service": views.service_view(platform, changed)}

    @api.delete("/services/{name}")
    async def delete(name: Name) -> Json:
        """Stop and forget a service."""
        await changes.delete(platform, name)
        return {"message": f"{name} is deleted; its servers stop"}

    @api.get("/services/{name}/revisions")
    async def revisions(name: Name) -> list[Json]:
        found = platform.book.service(name)
        return [views.revision_view(found, revision) for revision in found.revisions]

    return api


def _rollouts(platform: Platform) -> APIRouter:
    api = APIRouter(prefix="/api/v1/services/{name}", responses=PROBLEMS)

    @api.get("/rollouts")
    async def history(name: Name) -> list[Json]:
        """All rollouts with every transition and the verdict that led to it."""
        rollouts = await platform.book.rollouts(name)
        found = platform.book.service(name)
        return [
            views.rollout_view(found, rollout)
            | {
                "transitions": [
                    views.transition_view(transition)
                    for transition in await platform.book.transitions(rollout.id)
                ]
            }
            for rollout in rollouts
        ]

    @api.post("/rollout/{what}")
    async def steer(name: Name, what: Command) -> Json:
        """Pause, resume, promote or abort the rollout that is under way."""
        changed, message = await changes.steer(platform, name, what)
        return {"message": message, "service": views.service_view(platform, changed)}

    @api.post("/rollback")
    async def rollback(name: Name) -> Json:
        """Back to the earlier revision: one route flip while it is parked."""
        changed, message = await changes.go_back(platform, name)
        return {"message": message, "service": views.service_view(platform, changed)}

    return api


def _server(platform: Platform) -> APIRouter:
    """The server-wide part of the Open Inference Protocol, for the whole front door."""
    api = APIRouter()

    @api.get("/")
    async def root() -> Json:
        names = [service.name for service in platform.book.services()]
        told = {"name": "modelserve", "version": __version__, "services": names, "api": "/api/v1/status"}
        return {**told, "status": "alive"}  # how KServe's client asks in its first protocol

    @api.get("/v2")
    async def metadata() -> Json:
        return {"name": "modelserve", "version": __version__, "extensions": list(EXTENSIONS)}

    @api.get("/v1/models")
    async def models() -> Json:
        """The services, as KServe v1 lists them."""
        return {"models": [service.name for service in platform.book.services()]}

    @api.get("/v2/health/live")
    async def live() -> Json:
        return {"live": True}

    @api.get("/v2/health/ready")
    async def ready() -> JSONResponse:
        is_ready = platform.in_force and _all_answer(platform)
        return JSONResponse({"ready": is_ready}, status_code=200 if is_ready else 503)

    return api


def _all_answer(platform: Platform) -> bool:
    """Whether every service has a ready replica of a revision that takes traffic."""
    ready = {r.workload for r in platform.replicas if r.phase is ReplicaPhase.READY}
    routed = [service.traffic() for service in platform.book.services()]
    return all(set(revisions(traffic)) & ready for traffic in routed if revisions(traffic))


async def _spec_text(request: Request) -> str:
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media not in SPEC_MEDIA:
        raise UnsupportedMedia(f"content-type: got {media or 'none'!r}: send one of {', '.join(SPEC_MEDIA)}")
    body = await read_at_most(request, MAX_SPEC_BYTES, "the limit for a spec")
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"the body is not UTF-8 text: byte {error.start} is {body[error.start]:#04x}"
        ) from None


def tell_problems(app: FastAPI, hostnames: tuple[str, ...] = ()) -> None:
    """Every error as problem details, in the answers and in the description.

    ``hostnames``: by which this may be called, besides IP addresses and localhost.
    """
    _describe_problems(app)

    @app.middleware("http")
    async def guard(request: Request, call_next: Callable[[Request], Awaitable[Any]]) -> Any:
        if refused := _refused(request, hostnames):
            return refused
        try:
            return await call_next(request)
        except ModelServeError as error:
            return _problem(request, error.status, error.code, error.message, error.retryable)
        except Exception:
            log.exception("a control request failed")
            return _problem(
                request, 500, "internal", "the controller failed; its log says why", retryable=True
            )

    app.add_middleware(HeadAsGet)

    @app.exception_handler(ModelServeError)
    async def known(request: Request, error: ModelServeError) -> JSONResponse:
        return _problem(request, error.status, error.code, error.message, error.retryable)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "invalid_input")
        problem = _problem(request, error.status_code, code, f"{request.url.path}: {error.detail}")
        problem.headers.update(error.headers or {})
        if error.status_code == 405:
            problem.headers["allow"] = allowed(app.routes, request.scope)
        return problem

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        return _problem(
            request, 422, "invalid_input", f"{field}: got {str(first.get('input'))[:80]!r}: {first['msg']}"
        )


def _refused(request: Request, hostnames: tuple[str, ...]) -> JSONResponse | None:
    """The answer to a request whose Host is malformed, or that a page elsewhere makes a browser send."""
    hosts = [value for name, value in request.headers.raw if name == b"host"]
    if wrong := host_trouble(hosts, request.scope["http_version"]):
        return _problem(request, wrong[0], "invalid_input", wrong[1])
    if open_to_any_name(request.scope["path"]):
        return None
    reason = foreign(request.method, request.headers, hostnames)
    return _problem(request, 403, "forbidden", reason) if reason else None


def _problem(request: Request, status: int, code: str, detail: str, retryable: bool = False) -> JSONResponse:
    """Problem details, but where clients of an inference protocol ask: they look for ``error``."""
    if of_inference(request.scope["path"]):
        return JSONResponse({"error": detail, "code": code, "retryable": retryable}, status)
    body = {
        "type": "about:blank",
        "title": code.replace("_", " "),
        "status": status,
        "detail": detail,
        "code": code,
        "retryable": retryable,
    }
    return JSONResponse(body, status_code=status, media_type="application/problem+json")


def _describe_problems(app: FastAPI) -> None:
    describe = app.openapi

    def openapi() -> Json:
        document = describe()
        strings = {name: {"type": "string"} for name in ("type", "title", "detail", "code")}
        document.setdefault("components", {}).setdefault("schemas", {})["Problem"] = {
            "type": "object",
            "required": ["type", "title", "status", "detail", "code", "retryable"],
            "properties": strings | {"status": {"type": "integer"}, "retryable": {"type": "boolean"}},
        }
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend it
