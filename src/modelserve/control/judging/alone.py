"""The judge's routes as an application of their own, without a platform."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import FastAPI

from modelserve import __version__
from modelserve.control.app import PROBLEMS, tell_problems
from modelserve.control.judging.api import judge_routes
from modelserve.control.judging.judgements import Judgements
from modelserve.control.judging.prometheus import Prometheus


def create_app(prometheus: str = "", state: Path | None = None, hostnames: tuple[str, ...] = ()) -> FastAPI:
    """``prometheus``: the URL that looks may query; ``state``: a folder that outlives a restart."""
    app = FastAPI(title="ModelServe judge", version=__version__, docs_url=None, redoc_url=None)

    @app.get("/healthz")
    async def alive() -> dict[str, Any]:
        return {"live": True}

    app.include_router(judge_routes(Judgements(state), Prometheus(prometheus), PROBLEMS))
    tell_problems(app, hostnames)
    return app
