"""Envoy before a server, as the platform runs it: its own router, with a table of one service."""

from __future__ import annotations

import asyncio
from pathlib import Path

from benchmarks.serving import wires
from benchmarks.serving.servers import Endpoint, Server
from modelserve._kit.ports import free_port
from modelserve.domain import routes
from modelserve.routers.envoy import EnvoyRouter


class Door(Endpoint):
    """A front door whose only service is ``server``. Both stay awake: health checks go on between them."""

    def __init__(self, server: Server, folder: Path) -> None:
        super().__init__(f"{server.name} via Envoy")
        self._server, self.requests = server, server.requests
        self.port = free_port()
        self._runner = asyncio.Runner()
        self._router = EnvoyRouter(folder, port=self.port)
        self._runner.run(self._open(server.port))

    async def _open(self, port: int) -> None:
        revision = f"{wires.SERVICE}-00001"
        backend = routes.Backend(revision, (routes.Endpoint("127.0.0.1", port),))
        weights = (routes.Weight(revision, 100),)
        service = routes.ServiceRoute(wires.SERVICE, weights, (backend,), revision)
        await self._router.start()
        await self._router.apply(routes.RouteTable((service,)))

    @property
    def pids(self) -> list[int]:
        envoy = self._router.pid
        return [*self._server.pids, *([envoy] if envoy else [])]

    def stop(self) -> None:
        self._runner.run(self._router.stop())
        self._runner.close()
