"""What is not inference: the engine answers it over HTTP, and a worker passes the answer on."""

from __future__ import annotations

import ssl
from pathlib import Path

import httpx
from starlette.types import Receive, Scope, Send

from modelserve.errors import ModelServeError, NotFound, NotReady
from modelserve.protocol.payload import Payload
from modelserve.serving.body import ClientGone, Held, Intake, read_body
from modelserve.serving.edge import exchange_of
from modelserve.serving.exchange import Exchange
from modelserve.serving.identity import Identity
from modelserve.serving.replies import send_fault, send_payload

LIVE = {"/v2/health/live": b'{"live":true}', "/": b'{"status":"alive"}'}
PATIENCE = 5.0
"""Seconds in which the engine takes a connection and what is sent over it."""
LONGEST = 600.0
"""Seconds in which it answers: it may have to load a model first."""
_OWN = {"connection", "content-length", "content-type", "date", "transfer-encoding", "x-request-id"}
_IDENTITY = ("x-modelserve-service", "x-modelserve-revision")
_DROPPED = _OWN | set(_IDENTITY)


class PassedOn:
    """An ASGI application. That a worker lives it says itself: the engine may just be starting."""

    def __init__(self, path: Path, largest: int) -> None:
        """``path``: the engine's socket for HTTP; ``largest``: bytes of a body."""
        self._intake = Intake(largest)
        transport = httpx.AsyncHTTPTransport(
            uds=str(path), verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), limits=httpx.Limits()
        )
        self._client = httpx.AsyncClient(
            transport=transport, base_url="http://engine", timeout=httpx.Timeout(PATIENCE, read=LONGEST)
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "GET" and (alive := LIVE.get(scope["path"])):
            await send_payload(send, Payload(alive))
            return
        exchange = exchange_of(scope)
        try:
            with Held(self._intake) as held:
                body = await read_body(receive, exchange, self._intake.largest, held)
                answer = await self._ask(scope, exchange, bytes(body))
        except ClientGone:
            return
        except ModelServeError as error:
            await send_fault(send, error)
            return
        await send_payload(send, _payload(answer, exchange), answer.status_code)

    async def _ask(self, scope: Scope, exchange: Exchange, body: bytes) -> httpx.Response:
        target = scope.get("raw_path") or scope["path"].encode()
        if scope["query_string"]:
            target += b"?" + scope["query_string"]
        headers = {"x-request-id": exchange.request_id, "accept-encoding": "identity"}
        if exchange.content_type:
            headers["content-type"] = exchange.content_type
        try:
            url = httpx.URL("http://engine").copy_with(raw_path=target)
            return await self._client.request(scope["method"], url, content=body, headers=headers)
        except httpx.InvalidURL:  # such as ``*``, which some ask for their OPTIONS, or one without end
            raise NotFound("no such route; /openapi.json lists them") from None
        except httpx.TransportError:
            raise NotReady("the engine is being started; try again later", retry_after=1.0) from None

    async def close(self) -> None:
        await self._client.aclose()


def _payload(answer: httpx.Response, exchange: Exchange) -> Payload:
    """The engine's answer, and who gave it."""
    service, revision = (answer.headers.get(name, "") for name in _IDENTITY)
    exchange.identity = Identity(service, revision)
    kept = tuple(
        (name.lower(), value)
        for name, value in answer.headers.raw
        if name.decode("latin-1").lower() not in _DROPPED
    )
    return Payload(answer.content, answer.headers.get("content-type", "").encode(), kept)
