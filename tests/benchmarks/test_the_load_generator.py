import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from benchmarks import load

Answer = Callable[[int], list[bytes]]
GOOD = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"


@asynccontextmanager
async def server(answer: Answer) -> AsyncIterator[dict[str, Any]]:
    """Answers the nth request with the pieces that ``answer`` gives, each in a packet of its own."""
    asked = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        while head := await _head(reader):
            await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].split(b"\r")[0]))
            asked += 1
            for piece in answer(asked):
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        yield {"host": "127.0.0.1", "port": listening.sockets[0].getsockname()[1]}


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""


async def loaded(place: dict[str, Any], folder: Path, **more: Any) -> dict[str, Any]:
    path = folder / "requests"
    load.write(path, [load.request("/a", b"one"), load.request("/b", b"three" * 1000)])
    order = {"requests": str(path), "clients": 4, "seconds": 0.2, "warm_up": 0.05}
    return await load.drive(order | place | more)


async def test_counts_answers_and_their_latency(tmp_path: Path) -> None:
    async with server(lambda _: [GOOD]) as place:
        result = await loaded(place, tmp_path)
    assert result["rate"] > 0
    assert 0 < result["p50_ms"] <= result["p99_ms"]
    assert result["failures"] == 0


async def test_finds_the_end_of_an_answer_that_comes_in_pieces(tmp_path: Path) -> None:
    pieces = [b"HTTP/1.1 200 OK\r\nContent-Le", b"ngth: 6\r\nx: y\r", b"\n\r\nab", b"cd", b"ef"]
    async with server(lambda _: pieces) as place:
        result = await loaded(place, tmp_path)
    assert result["rate"] > 0
    assert result["failures"] == 0


async def test_tells_a_failure_with_an_example(tmp_path: Path) -> None:
    bad = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\nbusy"
    async with server(lambda _: [bad]) as place:
        result = await loaded(place, tmp_path)
    assert result["failures"] > 0
    assert result["example"].endswith("busy")


async def test_keeps_to_its_rate_in_an_open_loop(tmp_path: Path) -> None:
    async with server(lambda _: [GOOD]) as place:
        result = await loaded(place, tmp_path, rate=100.0, seconds=0.5)
    assert 10 < result["rate"] < 250
    assert result["failures"] == 0


def test_reads_back_the_requests_that_were_written(tmp_path: Path) -> None:
    requests = [b"", b"one", b"\x00" * 70_000]
    load.write(tmp_path / "requests", requests)
    assert list(load.read(tmp_path / "requests")) == requests
