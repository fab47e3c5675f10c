"""What the tests of the front door share: upstream processes, a small HTTP client and load."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelserve._kit.waiting import wait_until
from modelserve.domain.routes import Endpoint

UPSTREAM = Path(__file__).with_name("upstream.py")


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def revision(self) -> str:
        return self.headers.get("x-modelserve-revision", "")


class Upstream:
    """One stand-in process. ``name`` is the revision that it says it is."""

    def __init__(self, name: str, port: int = 0) -> None:
        self.name = name
        command = [sys.executable, "-S", "-E", str(UPSTREAM), name, str(port)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())
        self.endpoint = Endpoint("127.0.0.1", self.port)
        self.untouched = True

    async def tell(self, **behaviour: Any) -> None:
        self.untouched = False
        await fetch(self.port, "/told", "POST", body=json.dumps(behaviour).encode())

    async def seen(self) -> dict[str, Any]:
        answer = await fetch(self.port, "/seen")
        found: dict[str, Any] = answer.json()
        return found

    def signal(self, number: signal.Signals) -> None:
        self.untouched = False
        os.kill(self.process.pid, number)

    def forget(self) -> None:
        """Begin to count anew."""
        urllib.request.urlopen(f"http://127.0.0.1:{self.port}/forget", timeout=10).close()

    def end(self) -> None:
        self.untouched = False
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()


class Upstreams:
    """Starts stand-ins, and keeps those that no test told, signalled or ended for the next test."""

    def __init__(self) -> None:
        self._idle: list[Upstream] = []
        self._lent: list[Upstream] = []

    def start(self, name: str, port: int = 0) -> Upstream:
        found = next((one for one in self._idle if one.name == name and not port), None)
        if found is None:
            found = Upstream(name, port)
        else:
            self._idle.remove(found)
            found.forget()
        self._lent.append(found)
        return found

    def take_back(self) -> None:
        for one in self._lent:
            if one.untouched:
                self._idle.append(one)
            else:
                one.end()
        self._lent.clear()

    def end(self) -> None:
        self.take_back()
        for one in self._idle:
            one.end()


class Connection:
    """One keep-alive HTTP/1.1 connection, reopened when the other side closed it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def request(
        self, path: str, method: str = "GET", headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        lines = [f"{method} {path} HTTP/1.1", "host: test", f"content-length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        try:
            writer.write("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
            await writer.drain()
            answer = await _answer(reader)
        except BaseException:
            self.close()
            raise
        if answer.headers.get("connection") == "close":
            self.close()
        return answer

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def _answer(reader: asyncio.StreamReader) -> Answer:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines if line)}
    if headers.get("transfer-encoding") == "chunked":
        raise AssertionError("the stand-ins never stream")
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Answer(int(first.split(" ")[1]), headers, body)


async def fetch(
    port: int,
    path: str,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
) -> Answer:
    connection = Connection(port)
    try:
        return await asyncio.wait_for(connection.request(path, method, headers, body), 30)
    finally:
        connection.close()


async def logged(log: Path, request_id: str) -> dict[str, Any]:
    """A request's line in the access log, once it is on the disk. Tests share the log, so the id must be the
    test's own."""

    def lines() -> list[str]:
        return [line for line in log.read_text().splitlines() if request_id in line]

    await wait_until(lines, 10, f"the line of {request_id} is on the disk")
    (line,) = lines()
    found: dict[str, Any] = json.loads(line)
    return found


@dataclass
class Load:
    """Clients that ask without pause until they are stopped or their share of ``requests`` is done."""

    port: int
    path: str
    clients: int = 16
    requests: int | None = None
    body: bytes = b"{}"
    statuses: Counter[int] = field(default_factory=Counter)
    revisions: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    slowest: float = 0.0
    _over: bool = False
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    @property
    def done(self) -> int:
        return self.statuses.total() + len(self.broken)

    @property
    def lost(self) -> int:
        """Requests that did not get a 200."""
        return self.done - self.statuses[200]

    async def __aenter__(self) -> Load:
        self._tasks = [asyncio.create_task(self._client()) for _ in range(self.clients)]
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.requests is None:
            self._over = True
        await asyncio.gather(*self._tasks)

    def _more(self) -> bool:
        if self._over:
            return False
        if self.requests is None:
            return True
        self.requests -= 1
        return self.requests >= 0

    async def _client(self) -> None:
        connection = Connection(self.port)
        clock = asyncio.get_running_loop().time
        while self._more():
            begun = clock()
            try:
                answer = await asyncio.wait_for(connection.request(self.path, "POST", body=self.body), 60)
            except (OSError, EOFError, TimeoutError) as error:
                self.broken.append(repr(error))
                continue
            self.slowest = max(self.slowest, clock() - begun)
            self.statuses[answer.status] += 1
            self.revisions[answer.revision] += 1
        connection.close()
