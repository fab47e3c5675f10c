"""A controller over ports in memory, and real records: every tick is one call, the clock is a number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from modelserve.control import changes
from modelserve.control.book import Book
from modelserve.control.platform import Platform
from modelserve.control.reconcile import reconcile, take_over
from modelserve.domain.latency import BUCKETS
from modelserve.domain.rollouts import ArmCounts
from modelserve.domain.services import ModelService
from modelserve.launchers.memory import MemoryLauncher
from modelserve.observers.base import Cursor, Sighting, Subject
from modelserve.routers.memory import MemoryRouter
from modelserve.stores.blobs import open_blobs
from modelserve.stores.records import open_records

RULES = {
    "canary": {"steps": ["10%", "50%", "100%"], "minStep": "1s"},
    "judge": {"warmUp": "0s"},
    "shadow": None,
    "probation": "30s",
}


@dataclass
class Traffic:
    """An observer that reports the traffic it is told of, by the weight that the router has in force."""

    router: MemoryRouter
    rate: int = 1000
    bad: dict[str, float] = field(default_factory=dict)
    """Share of failures by revision."""
    name: str = "envoy"
    blind: bool = False
    admitted: bool | None = None
    """Whether the proxy finds the candidate ready; None: it does not say."""

    async def read(self, subject: Subject, cursor: Cursor) -> tuple[Sighting, Cursor]:
        if self.blind:
            return Sighting(notes=("down",)), cursor
        if not cursor:
            return Sighting(candidate_ready=self.admitted), {"started": True}
        arms = self._arm(subject.stable), self._arm(subject.candidate)
        return Sighting(*arms, candidate_ready=self.admitted), cursor

    def _arm(self, revision: str) -> ArmCounts:
        (route,) = self.router.table.services
        share = sum(w.percent for w in route.weights if w.revision == revision) / 100
        requests = round(self.rate * share)
        latency = (0,) * 40 + (requests,) + (0,) * (BUCKETS - 41)
        return ArmCounts(requests, round(requests * self.bad.get(revision, 0.0)), latency)


class Controller:
    """One controller, and the means to let another take its place."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = 1000.0
        self.launcher = MemoryLauncher()
        self.router = MemoryRouter()
        self.traffic = Traffic(self.router)
        self.platform = self._platform()

    def _platform(self) -> Platform:
        records = open_records(f"sqlite:///{self.folder / 'records.db'}")
        blobs = open_blobs((self.folder / "artefacts").as_uri())
        return Platform(
            Book(records), blobs, self.launcher, self.router, (self.traffic,), now=lambda: self.clock
        )

    async def restart(self) -> None:
        """What kill -9 and a new start come to: everything that was only in memory is gone."""
        self.platform = self._platform()
        await self.platform.book.load()
        await take_over(self.platform)

    async def ticks(self, count: int) -> None:
        for _ in range(count):
            self.clock += 1.0
            await reconcile(self.platform)

    async def until(self, name: str, *phases: str, limit: int = 300) -> Any:
        for _ in range(limit):
            await self.ticks(1)
            if (rollout := self.platform.book.service(name).rollout) and rollout.phase in phases:
                return rollout
        pytest.fail(f"{name} is {self.platform.book.service(name).rollout}, not {phases}")

    async def apply(self, model: Path, rules: Mapping[str, Any] = RULES, **spec: Any) -> str:
        document = {
            "metadata": {"name": "m"},
            "spec": {"model": {"uri": str(model)}, "rollout": rules, **spec},
        }
        _, message = await changes.apply(self.platform, ModelService.model_validate(document))
        return message

    def weights(self) -> dict[str, float]:
        return {w.revision: w.percent for route in self.router.table.services for w in route.weights}


@pytest.fixture
async def controller(tmp_path) -> Controller:
    fresh = Controller(tmp_path)
    await fresh.restart()
    return fresh


@pytest.fixture
def empty_platform(tmp_path) -> Platform:
    """A platform without a service, made outside of an event loop."""
    return Controller(tmp_path).platform


@pytest.fixture(scope="session")
def packages(tmp_path_factory) -> list[Path]:
    """Three bare ONNX files that differ in one number."""
    from onnx import TensorProto, helper

    folder = tmp_path_factory.mktemp("packages")
    made = []
    for number in (1, 2, 3):
        constant = helper.make_tensor("k", TensorProto.FLOAT, [1], [float(number)])
        graph = helper.make_graph(
            [helper.make_node("Mul", ["x", "k"], ["y"])],
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])],
            [constant],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        path = folder / f"m{number}.onnx"
        path.write_bytes(model.SerializeToString())
        made.append(path)
    return made


@pytest.fixture
async def serving(controller, packages) -> Controller:
    """A controller with one service whose first revision is stable."""
    await controller.apply(packages[0])
    await controller.until("m", "stable")
    await controller.ticks(1)
    return controller
