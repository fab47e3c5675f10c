"""A server in a thread that answers as it is told, and may stop for a while."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Answer = Callable[[int], bytes | None]
"""The bytes of the answer to request number n, from 0; None: end the connection instead."""


def http(status: int = 200, body: bytes = b"{}", *headers: str) -> bytes:
    lines = (f"HTTP/1.1 {status} Whatever", *headers, f"content-length: {len(body)}", "", "")
    return "\r\n".join(lines).encode() + body


class Stage:
    """Counts the requests; each holds ``content-length`` bytes after its head."""

    def __init__(self, answer: Answer) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._answer = answer
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._open(), self._loop).result()
        self.port: int = self._server.sockets[0].getsockname()[1]

    async def _open(self) -> asyncio.Server:
        return await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
                self.requests.append(head + await reader.readexactly(length))
                answer = self._answer(len(self.requests) - 1)
                if answer is None:
                    break
                writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        self._writers.discard(writer)
        writer.close()

    def close(self) -> None:
        """End every connection and take no more."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    async def _end(self) -> None:
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*others, return_exceptions=True)


@contextmanager
def stage(answer: Answer) -> Iterator[Stage]:
    made = Stage(answer)
    yield made
    made.close()


def stalling(at: int, seconds: float) -> Answer:
    """Good answers, but at request number ``at`` the whole server stops for a time."""

    def answer(number: int) -> bytes:
        if number == at:
            time.sleep(seconds)
        return http()

    return answer
