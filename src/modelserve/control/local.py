"""The platform on one machine: its adapters, where their files lie, how it starts and how it ends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import httpx
import uvicorn

from modelserve._kit.downloads import Patience
from modelserve._kit.files import cut_log, write_atomically
from modelserve._kit.locks import Lock, LockHeld
from modelserve.control import loop
from modelserve.control.app import create_app
from modelserve.control.artefacts import bring_back
from modelserve.control.book import Book
from modelserve.control.exposures import Tail
from modelserve.control.judging.judgements import Judgements
from modelserve.control.judging.prometheus import Prometheus
from modelserve.control.platform import Platform
from modelserve.control.reconcile import reconcile, take_over
from modelserve.control.remembering import Rememberer
from modelserve.domain.models import Allowed
from modelserve.domain.routes import Endpoint
from modelserve.errors import Unavailable
from modelserve.launchers.process import ProcessLauncher
from modelserve.observers.answers import AnswersObserver
from modelserve.observers.comparing import Comparing
from modelserve.observers.custom.observer import CustomObserver
from modelserve.observers.differences import Differences
from modelserve.observers.envoy import EnvoyObserver
from modelserve.observers.servers import ServersObserver
from modelserve.routers.envoy import EnvoyRouter
from modelserve.settings import Home, PlatformSettings
from modelserve.sources import Bounds, Sources, open_sources
from modelserve.stores.blobs import open_blobs
from modelserve.stores.cache import check_url
from modelserve.stores.records import Retention, open_records

LOG_LIMIT = 16 * 1024 * 1024
"""Bytes of the controller's log at which it is set aside."""
SCRAPE_TIMEOUT = 0.4
"""Seconds that one model server may take to tell its figures; below the tick, so that one can't stop all."""


def launcher(home: Home) -> ProcessLauncher:
    return ProcessLauncher(home.servers)


def router(home: Home, settings: PlatformSettings) -> EnvoyRouter:
    return EnvoyRouter(home.envoy, host=settings.host, port=settings.port)


async def sweep(home: Home, settings: PlatformSettings) -> None:
    """Stop the proxy and every model server, also those whose controller is gone."""
    await router(home, settings).stop()
    await launcher(home).stop()
    home.about.unlink(missing_ok=True)


@asynccontextmanager
async def assemble(home: Home, settings: PlatformSettings, control: Endpoint) -> AsyncIterator[Platform]:
    """All adapters, joined. Raises Unavailable for a store or a proxy that can't be had."""
    check_url(settings.cache_url)
    retention = Retention(settings.rollouts_explained, settings.looks_kept)
    records = await asyncio.to_thread(open_records, settings.records, retention)
    envoy, differences = router(home, settings), Differences()
    comparing = Comparing(settings.allow_code)
    try:
        async with (
            httpx.AsyncClient(timeout=SCRAPE_TIMEOUT, trust_env=False) as client,
            CustomObserver(settings.prometheus_url, allow_code=settings.allow_code) as custom,
        ):
            platform = Platform(
                book=Book(records),
                blobs=await asyncio.to_thread(open_blobs, settings.artefacts, home.artefacts),
                launcher=launcher(home),
                router=envoy,
                observers=(
                    EnvoyObserver(envoy.admin),
                    ServersObserver(client),
                    AnswersObserver(client, differences, comparing),
                    custom,
                ),
                differences=differences,
                control=control,
                allowed=Allowed(settings.allow_code, settings.allow_external, settings.allow_pickle),
                sources=_sources(home, settings),
                artefacts_limit=settings.artefacts_limit,
                cache_url=settings.cache_url,
                grpc=settings.grpc,
                machine_cache=home.machine_cache,
                judgements=Judgements(home.judgements),
                prometheus=Prometheus(settings.prometheus_url),
                exposures=Tail(envoy.exposure_log),
                predictions_kept=settings.predictions_kept,
                predictions_most=settings.predictions_most,
            )
            platform.errands = (
                Rememberer(platform, client),
                lambda: asyncio.to_thread(cut_log, home.log, LOG_LIMIT),
            )
            await platform.book.load()
            missing = asyncio.create_task(bring_back(platform))
            try:
                yield platform
            finally:
                missing.cancel()
                await platform.fetcher.close()
                await comparing.close()
    finally:
        records.close()


def _sources(home: Home, settings: PlatformSettings) -> Sources:
    bounds = Bounds(settings.fetch_limit, settings.fetch_files, Patience(stall=settings.fetch_stall))
    return open_sources(home.sources, bounds=bounds, trusted_hosts=settings.trusted_hosts)


async def serve(settings: PlatformSettings, ready: asyncio.Event) -> None:
    """Run the platform until SIGTERM or SIGINT, then stop everything that it started.

    Raises Unavailable (another platform holds this home, the port is taken, the store can't be opened)
    before anything runs.
    """
    home = Home(settings.home)
    home.path.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _hold(home), _listen() as listener:
        control = Endpoint("127.0.0.1", listener.getsockname()[1])
        stop = _stop_on_signals()
        async with assemble(home, settings, control) as platform:
            await take_over(platform)
            await platform.router.start()
            api = _api(platform)
            serving = asyncio.create_task(api.serve(sockets=[listener]))
            try:
                await reconcile(platform)
                _tell(home, settings, control)
                ready.set()
                await loop.run(platform, settings.tick, stop)
            finally:
                api.should_exit = True
                await serving
                await sweep(home, settings)


@contextmanager
def _hold(home: Home) -> Iterator[None]:
    """Be the only controller of this home. Raises Unavailable that says who else is."""
    lock = Lock(home.lock)
    try:
        lock.acquire()
    except LockHeld as held:
        since = time.strftime("%H:%M:%S", time.localtime(held.since)) if held.since else "just now"
        raise Unavailable(
            f"a platform runs in {home.path} already: pid {held.pid or 'unknown'}, since {since}; "
            "stop it with: modelserve down"
        ) from None
    try:
        yield
    finally:
        lock.release()


def _listen() -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    return listener


def _stop_on_signals() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


class _Api(uvicorn.Server):
    """Leaves the signals to :func:`serve`."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _api(platform: Platform) -> uvicorn.Server:
    config = uvicorn.Config(
        create_app(platform), access_log=False, log_config=None, lifespan="off", timeout_graceful_shutdown=2
    )
    return _Api(config)


def _tell(home: Home, settings: PlatformSettings, control: Endpoint) -> None:
    about = {
        "pid": os.getpid(),
        "control": f"http://{control.host}:{control.port}",
        "door": f"http://{settings.host}:{settings.port}",
        "since": time.time(),
    }
    write_atomically(home.about, json.dumps(about).encode())
