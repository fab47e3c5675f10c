from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from modelserve._kit.unix_http import UnixHttp


async def _serve(path: Path, answer: bytes) -> asyncio.Server:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    return await asyncio.start_unix_server(handle, path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "s"


async def test_the_body_of_a_200_is_returned(path: Path) -> None:
    chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    async with await _serve(path, chunked):
        assert await UnixHttp(path).get("/x") == "abc"
        assert await UnixHttp(path).post("/x") == "abc"


@pytest.mark.parametrize(
    "answer", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 503 X\r\ncontent-length: 4\r\n\r\nhelp"]
)
async def test_every_other_answer_is_a_connection_error(path: Path, answer: bytes) -> None:
    async with await _serve(path, answer):
        with pytest.raises(ConnectionError, match=f"GET /x at {path}"):
            await UnixHttp(path).get("/x")


async def test_a_socket_that_is_not_there_is_a_connection_error(path: Path) -> None:
    with pytest.raises(ConnectionError, match="GET /x"):
        await UnixHttp(path).get("/x")


async def test_silence_is_a_connection_error_after_the_timeout(path: Path) -> None:
    over = asyncio.Event()

    async def keep_silent(*_: object) -> None:
        await over.wait()

    async with await asyncio.start_unix_server(keep_silent, path):
        with pytest.raises(ConnectionError):
            await UnixHttp(path, timeout=0.05).get("/x")
        over.set()


async def test_every_server_at_the_socket_is_another_generation(path: Path) -> None:
    http, generations = UnixHttp(path), [""]
    assert http.generation == ""
    for _ in range(3):
        async with await _serve(path, b""):
            generations.append(http.generation)
            assert http.generation == generations[-1]
        await asyncio.to_thread(path.unlink, missing_ok=True)
    assert len(set(generations)) == 4
