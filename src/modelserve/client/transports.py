"""One call over HTTP/1.1, with threads or with asyncio, kept to its time. All sockets of the client are here.

httpcore's pools below; what they raise becomes an error of ours, and nothing else leaves.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import queue
import ssl
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpcore

from modelserve.client.faults import BadAnswer
from modelserve.client.messages import Call, Reply
from modelserve.client.punctual import Punctual, until
from modelserve.errors import DeadlineExceeded, InvalidInput, ModelServeError, Unavailable

DOOR = "http://127.0.0.1:8080"
"""Where ``modelserve up`` listens unless told otherwise."""
USER_AGENT = "modelserve-python"
_NO_VERDICT = (httpcore.NetworkError, httpcore.RemoteProtocolError, httpcore.ProxyError)
"""The connection failed; before the answer began, another may do better."""
_HUNG_UP = "Server disconnected"
"""How httpcore tells a connection that ended without an answer from an answer that is no HTTP."""


@dataclass(frozen=True, slots=True)
class TransportOptions:
    """Arguments of the clients; see ``asking``. Raises InvalidInput for a URL that is none."""

    url: str
    headers: Mapping[str, str]
    connections: int
    keep_alive: float
    verify: bool | str

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            good = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1)
        except ValueError:
            good = False
        if not good:
            raise InvalidInput(f"url: got {self.url!r}; give http://HOST:PORT or https://HOST")
        if self.connections < 1:
            raise InvalidInput(f"connections: got {self.connections}; give 1 or more")

    def request(self, call: Call, timeout: float) -> dict[str, Any]:
        """Arguments of an ``httpcore.Request``."""
        host = urlsplit(self.url).netloc.rpartition("@")[2]
        headers = {"accept": "application/json", "user-agent": USER_AGENT, "host": host}
        headers |= {name.lower(): value for name, value in {**self.headers, **call.headers}.items()}
        if call.method == "POST":
            headers["content-length"] = str(len(call.body))
        phases = dict.fromkeys(("connect", "read", "write", "pool"), timeout)
        return {
            "method": call.method,
            "url": self.url.rstrip("/") + call.path,
            "headers": [(name.encode("ascii"), value.encode("ascii")) for name, value in headers.items()],
            "content": call.body or None,
            "extensions": {"timeout": phases},
        }

    def pool(self) -> dict[str, Any]:
        """Arguments of a pool."""
        return {
            "ssl_context": self._ssl_context(),
            "proxy": self._proxy(),
            "max_connections": self.connections,
            "keepalive_expiry": self.keep_alive,
        }

    def _ssl_context(self) -> ssl.SSLContext | None:
        if not self.url.startswith("https"):
            return None
        context = ssl.create_default_context(cafile=self.verify if isinstance(self.verify, str) else None)
        if self.verify is False:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context

    def _proxy(self) -> httpcore.Proxy | None:
        """The environment's proxy for this URL; none for loopback, whatever the environment says."""
        parts = urlsplit(self.url)
        host = parts.hostname or ""
        if _loopback(host) or urllib.request.proxy_bypass(host):
            return None
        found = urllib.request.getproxies()
        proxy = found.get(parts.scheme) or found.get("all")
        return httpcore.Proxy(proxy) if proxy else None


def _loopback(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost" or host.endswith(".localhost")


@contextlib.contextmanager
def _ours(options: TransportOptions, answering: list[int]) -> Iterator[None]:
    """What httpcore raises, as an error of ours. ``answering`` holds the status once the answer has begun."""
    try:
        yield
    except (httpcore.TimeoutException, TimeoutError):
        raise DeadlineExceeded(f"{options.url}: no whole answer within the call's time") from None
    except (httpcore.LocalProtocolError, httpcore.UnsupportedProtocol, UnicodeEncodeError) as error:
        raise InvalidInput(f"the request is not valid HTTP: {error}") from None
    except _NO_VERDICT as error:
        if answering:
            raise BadAnswer(f"{options.url}: the answer broke off: {_words(error)}") from None
        if isinstance(error, httpcore.RemoteProtocolError) and not str(error).startswith(_HUNG_UP):
            raise BadAnswer(f"{options.url}: this is not HTTP: {_words(error)}") from None
        raise Unavailable(f"{options.url}: {_words(error)}") from None


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__


def _reply(response: httpcore.Response) -> Reply:
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
    return Reply(response.status, headers, response.content)


class Transport:
    """For threads.

    A pool of httpcore's may close a connection while another thread uses it: the pool finds it idle, or ended
    because an answer is there to be read, just as the thread begins (encode/httpcore, issue 1110). So each
    pool here has one connection, and one thread at a time.
    """

    def __init__(self, options: TransportOptions) -> None:
        self._options = options
        alone = {**options.pool(), "max_connections": 1}
        backend = Punctual(httpcore.SyncBackend())
        self._pools = [
            httpcore.ConnectionPool(**alone, network_backend=backend) for _ in range(options.connections)
        ]
        self._free: queue.LifoQueue[httpcore.ConnectionPool] = queue.LifoQueue()
        for pool in self._pools:
            self._free.put(pool)

    def send(self, call: Call, timeout: float) -> Reply | ModelServeError:
        """The answer, or why there is none after at most ``timeout`` seconds."""
        answering: list[int] = []
        try:
            with _ours(self._options, answering), until(timeout), self._alone(timeout) as pool:
                request = httpcore.Request(**self._options.request(call, timeout))
                response = pool.handle_request(request)
                answering.append(response.status)
                try:
                    response.read()
                finally:
                    response.close()
                return _reply(response)
        except ModelServeError as error:
            return error

    @contextlib.contextmanager
    def _alone(self, timeout: float) -> Iterator[httpcore.ConnectionPool]:
        """The pool that was used last: its connection is the least likely to have ended."""
        try:
            pool = self._free.get(timeout=max(timeout, 0.0))
        except queue.Empty:
            raise TimeoutError from None
        try:
            yield pool
        finally:
            self._free.put(pool)

    def close(self) -> None:
        for pool in self._pools:
            pool.close()


class AsyncTransport:
    """For asyncio."""

    def __init__(self, options: TransportOptions) -> None:
        self._options = options
        self._pool = httpcore.AsyncConnectionPool(**options.pool())

    async def send(self, call: Call, seconds: float) -> Reply | ModelServeError:
        """The answer, or why there is none after at most ``seconds``."""
        answering: list[int] = []
        try:
            with _ours(self._options, answering):
                async with asyncio.timeout(seconds):
                    request = httpcore.Request(**self._options.request(call, seconds))
                    response = await self._pool.handle_async_request(request)
                    answering.append(response.status)
                    try:
                        await response.aread()
                    finally:
                        await response.aclose()
                    return _reply(response)
        except ModelServeError as error:
            return error

    async def close(self) -> None:
        await self._pool.aclose()
