"""The demo's hands on the platform: the same commands that a person types."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

import httpx

Json = dict[str, Any]


class CommandFailed(Exception):
    """A modelserve command ended with an error; the message is what it printed."""


class Platform:
    """One platform in its own home, driven through the command line."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.door = ""
        self._client = httpx.AsyncClient(timeout=10, trust_env=False)

    async def up(self) -> None:
        about = await self.run("up", "--port", str(_free_port()), "--json")
        self.door = about["door"]

    async def down(self) -> None:
        await self.run("down", "--json")

    async def apply(self, spec: Json) -> str:
        answers = await self.run("apply", "-f", "-", "--json", given=json.dumps(spec))
        return str(answers[0]["message"])

    async def rollout(self, service: str) -> Json:
        """The latest rollout, asked of the control API behind the front door."""
        answer = await self._client.get(f"{self.door}/api/v1/services/{service}")
        found: Json = answer.raise_for_status().json()["rollout"]
        return found

    async def run(self, *arguments: str, given: str = "") -> Any:
        """Run ``modelserve ...`` and return what it prints as JSON. Raises CommandFailed."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "modelserve",
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=_environment(self.home),
        )
        out, err = await process.communicate(given.encode())
        if process.returncode != 0:
            raise CommandFailed(f"modelserve {' '.join(arguments)}: {err.decode().strip()}")
        return json.loads(out)


def _environment(home: Path) -> dict[str, str]:
    """No setting of the person who runs the demo reaches it, least of all another records store."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("MODELSERVE_")}
    return kept | {"MODELSERVE_HOME": str(home)}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
