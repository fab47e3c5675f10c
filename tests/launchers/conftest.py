from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from modelserve._kit.waiting import wait_until
from modelserve.domain.workloads import Replica, ReplicaPhase, Workload
from modelserve.launchers.base import Launcher
from modelserve.launchers.memory import MemoryLauncher
from modelserve.launchers.process import ProcessLauncher

COMMAND = (sys.executable, "-I", "-S", str(Path(__file__).with_name("model_server.py")))


@dataclass
class Package:
    """The folder that tells the miniature server how to behave."""

    path: Path

    def behave(self, **behaviour: Any) -> None:
        self.path.mkdir(exist_ok=True)
        (self.path / "behaviour.json").write_text(json.dumps(behaviour))

    def workload(self, revision: str = "ner-00001", replicas: int = 1, **config: object) -> Workload:
        return Workload(
            service="ner",
            revision=revision,
            replicas=replicas,
            config={"package": str(self.path), "drain": 5.0, **config},
        )


@pytest.fixture
def package(tmp_path: Path) -> Package:
    package = Package(tmp_path / "package")
    package.behave()
    return package


@pytest.fixture
async def new_launcher(tmp_path: Path) -> AsyncIterator[Callable[[], ProcessLauncher]]:
    """Launchers on one directory, one after the other; nothing of theirs runs after the test."""
    directory = tmp_path / "servers"

    def new() -> ProcessLauncher:
        return ProcessLauncher(directory, COMMAND)

    yield new
    await new().stop()


@pytest.fixture
def process_launcher(new_launcher: Callable[[], ProcessLauncher]) -> ProcessLauncher:
    return new_launcher()


@pytest.fixture(params=["memory", "process"])
def launcher(request: pytest.FixtureRequest) -> Launcher:
    if request.param == "memory":
        return MemoryLauncher()
    launcher: Launcher = request.getfixturevalue("process_launcher")
    return launcher


Reach = Callable[..., Awaitable[tuple[Replica, ...]]]


@pytest.fixture
def reach() -> Reach:
    """``await reach(launcher, phase, count)``: look until ``count`` replicas are all in ``phase``."""

    async def look(
        launcher: Launcher, phase: ReplicaPhase = ReplicaPhase.READY, count: int = 1
    ) -> tuple[Replica, ...]:
        seen: tuple[Replica, ...] = ()

        async def arrived() -> bool:
            nonlocal seen
            seen = await launcher.replicas()
            return len(seen) == count and all(replica.phase is phase for replica in seen)

        try:
            await wait_until(arrived, 20, f"{count} replicas are {phase}")
        except TimeoutError as error:
            raise AssertionError(f"{error}; last seen: {seen}") from None
        return seen

    return look
