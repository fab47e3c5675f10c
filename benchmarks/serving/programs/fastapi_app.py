"""A hand-written FastAPI server, tuned: raw bodies, orjson, uvloop, httptools, one engine thread a run,
one run a core, and (unless BENCH_BATCHED is 0) a batcher without a timer: a free thread takes what waits."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import rows
import uvicorn
from fastapi import FastAPI, Request, Response

MEDIA = {"json": "application/json", "binary": "application/octet-stream", "jpeg": "application/json"}[
    rows.WIRE
]
SESSION = rows.session()
POOL = ThreadPoolExecutor(rows.CORES)
WAITING: list[tuple[bytes, asyncio.Future[bytes]]] = []
BATCHED = os.environ.get("BENCH_BATCHED", "1") == "1"


def infer(bodies: list[bytes]) -> list[bytes]:
    parts = [rows.decoded(body) for body in bodies]
    return [rows.encoded(output) for output in rows.answers(SESSION, parts)]


async def worker(arrived: asyncio.Condition) -> None:
    loop = asyncio.get_running_loop()
    while True:
        async with arrived:
            await arrived.wait_for(lambda: WAITING)
            batch, WAITING[: rows.BATCH] = WAITING[: rows.BATCH], []
        results = await loop.run_in_executor(POOL, infer, [body for body, _ in batch])
        for (_, future), result in zip(batch, results, strict=True):
            future.set_result(result)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.arrived = asyncio.Condition()
    workers = [asyncio.create_task(worker(app.state.arrived)) for _ in range(rows.CORES)]
    yield
    for each in workers:
        each.cancel()


app = FastAPI(lifespan=lifespan)


@app.post("/infer")
async def answer(request: Request) -> Response:
    body, loop = await request.body(), asyncio.get_running_loop()
    if not BATCHED:
        return Response((await loop.run_in_executor(POOL, infer, [body]))[0], media_type=MEDIA)
    future: asyncio.Future[bytes] = loop.create_future()
    arrived: Any = request.app.state.arrived
    async with arrived:
        WAITING.append((body, future))
        arrived.notify()
    return Response(await future, media_type=MEDIA)


if __name__ == "__main__":
    uvicorn.run(app, port=rows.PORT, loop="uvloop", http="httptools", access_log=False, log_level="warning")
