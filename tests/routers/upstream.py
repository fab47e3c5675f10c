"""A model server's stand-in, run as a program: answers at once, slowly, wrongly or not at all, as it is told.

It prints its port. ``POST /told`` sets behaviour, ``GET /seen`` tells what arrived
since ``GET /forget``. Health checks are not
counted.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

NAME = sys.argv[1]
told: dict[str, Any] = {"ready": True, "status": 200, "delay": 0.0, "every": 1, "cut": False, "cache": ""}


def nothing() -> dict[str, Any]:
    return {"requests": 0, "arms": {}, "sampled": [], "copies": [], "last": {}}


seen = nothing()


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            method, path, headers = parse(head)
            body = await read_body(reader, headers)
            if not await answer(writer, method, path, headers, body):
                break
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


def parse(head: bytes) -> tuple[str, str, dict[str, str]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ")
    headers = dict(line.split(": ", 1) for line in lines if line)
    return method, path, {name.lower(): value for name, value in headers.items()}


async def read_body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding") != "chunked":
        return await reader.readexactly(int(headers.get("content-length", 0)))
    body = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readexactly(2)
    return body


async def answer(
    writer: asyncio.StreamWriter, method: str, path: str, headers: dict[str, str], body: bytes
) -> bool:
    if path == "/v2/health/ready":
        return reply(writer, 200 if told["ready"] else 503, {"ready": told["ready"]})
    if path == "/told":
        told.update(json.loads(body))
        return reply(writer, 200, told)
    if path == "/seen":
        return reply(writer, 200, seen)
    if path == "/forget":
        seen.update(nothing())
        return reply(writer, 200, {})
    note(method, path, headers, body)
    if told["delay"]:
        await asyncio.sleep(told["delay"])
    if told["cut"]:
        return False
    bad = seen["requests"] % told["every"] == 0
    return reply(writer, told["status"] if bad else 200, {"name": NAME})


def note(method: str, path: str, headers: dict[str, str], body: bytes) -> None:
    seen["requests"] += 1
    arm = headers.get("x-modelserve-arm", "")
    seen["arms"][arm] = seen["arms"].get(arm, 0) + 1
    if headers.get("x-modelserve-sample"):
        seen["copies" if arm == "shadow" else "sampled"].append(headers.get("x-request-id"))
    seen["last"] = {"method": method, "path": path, "headers": headers, "body": len(body)}


def reply(writer: asyncio.StreamWriter, status: int, content: dict[str, Any]) -> bool:
    data = json.dumps(content).encode()
    cache = f"x-modelserve-cache: {told['cache']}\r\n" if told["cache"] else ""
    head = (
        f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(data)}\r\n"
        f"x-modelserve-revision: {NAME}\r\n{cache}\r\n"
    )
    writer.write(head.encode() + data)
    return True


async def main() -> None:
    port = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    server = await asyncio.start_server(serve, "127.0.0.1", port, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
