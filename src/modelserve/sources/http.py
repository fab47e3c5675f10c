"""GET and HEAD for sources that speak http: redirects, ranges and failures, under the operator's policy."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from urllib.parse import SplitResult, urljoin, urlsplit

import httpcore

from modelserve import __version__
from modelserve.sources.addresses import SETTING, GuardedNetwork, Policy
from modelserve.sources.base import Body, Broken, Changed, Refused

CONNECT_TIMEOUT = 10.0
"""Seconds."""
MAX_HOPS = 5
_PORTS = {"https": 443, "http": 80}
_MOVED = (301, 302, 303, 307, 308)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer whose content is still to be read; header names are lower-case."""

    status: int
    headers: Mapping[str, str]
    content: Iterator[bytes]

    @property
    def validator(self) -> str | None:
        """What tells this content from any other: a strong ETag, else the date of its last change."""
        etag = self.headers.get("etag", "")
        return etag if etag.startswith('"') else self.headers.get("last-modified")

    @property
    def length(self) -> int | None:
        given = self.headers.get("content-length", "")
        return int(given) if given.isdecimal() else None


class Http:
    """One pool of connections; safe in many threads. ``stall``: seconds without a byte that end a try."""

    def __init__(self, policy: Policy, stall: float) -> None:
        self._policy = policy
        self._timeouts = {"connect": CONNECT_TIMEOUT, "read": stall, "write": stall, "pool": stall}
        context = ssl.create_default_context()
        self._pool = httpcore.ConnectionPool(
            ssl_context=context, network_backend=GuardedNetwork(policy), keepalive_expiry=5.0
        )

    def close(self) -> None:
        self._pool.close()

    @contextmanager
    def ask(
        self, url: str, *, method: str = "GET", headers: Mapping[str, str] | None = None, secret: str = ""
    ) -> Iterator[Reply]:
        """One answer, redirects followed; ``secret`` is the Authorization, told to the first host alone.

        Raises Refused or Broken; every status but 2xx, 304 and 416 is one of them.
        """
        first = urlsplit(url)
        for _ in range(MAX_HOPS + 1):
            here = self._allowed(url)
            own = (here.scheme, here.netloc) == (first.scheme, first.netloc)
            sent = dict(headers or {}) | ({"authorization": secret} if secret and own else {})
            with self._once(method, url, sent) as reply:
                if reply.status not in _MOVED:
                    _check_status(reply)
                    yield reply
                    return
                url = _next(url, reply.headers.get("location", ""))
        raise Refused(f"it redirects more than {MAX_HOPS} times")

    def _allowed(self, url: str) -> SplitResult:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme, 0)
        if parts.scheme not in _PORTS or not parts.hostname:
            raise Refused(f"it leads to a {parts.scheme or 'nameless'} URL; https is wanted")
        if parts.scheme == "http" and not self._policy.trusts(parts.hostname, port):
            raise Refused(
                f"plain http to {parts.hostname} is not protected on its way: use https, or let an operator "
                f"allow the host with {SETTING}"
            )
        return parts

    @contextmanager
    def _once(self, method: str, url: str, headers: Mapping[str, str]) -> Iterator[Reply]:
        sent = {"user-agent": f"modelserve/{__version__}", "accept-encoding": "identity"} | dict(headers)
        with ExitStack() as stack:
            with _speaking():
                answer = stack.enter_context(
                    self._pool.stream(
                        method, url, headers=_bytes(sent), extensions={"timeout": self._timeouts}
                    )
                )
            found = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in answer.headers}
            yield Reply(answer.status, found, _chunks(answer))

    @contextmanager
    def body(
        self, url: str, start: int, validator: str | None, checks: Mapping[str, str], secret: str = ""
    ) -> Iterator[Body]:
        """The content from a byte on, as long as ``validator`` is still its own. Raises Changed if not."""
        asked = {}
        if start:
            asked = {"range": f"bytes={start}-"} | ({"if-range": validator} if validator else {})
        with self.ask(url, headers=asked, secret=secret) as reply:
            if reply.status == 416 or (validator and reply.validator not in (None, validator)):
                raise Changed
            begins, size = _span(reply)
            yield Body(reply.content, begins, size, checks)


def _next(url: str, location: str) -> str:
    """Where a redirect leads; never from https down to http."""
    there = urljoin(url, location)
    if not location:
        raise Refused("it redirects to nowhere")
    if urlsplit(url).scheme == "https" and urlsplit(there).scheme != "https":
        raise Refused(f"it redirects from https to {urlsplit(there).scheme or 'no scheme'}")
    return there


def _check_status(reply: Reply) -> None:
    status = reply.status
    if 200 <= status < 300 or status in (304, 416):
        return
    if status in (401, 403):
        raise Refused(f"access is denied (status {status})")
    if status in (408, 425, 429) or status >= 500:
        raise Broken(f"the server failed (status {status})", after=_retry_after(reply))
    raise Refused(f"nothing is there (status {status})")


def _retry_after(reply: Reply) -> float:
    given = reply.headers.get("retry-after", "")
    return min(float(given), 30.0) if given.isdecimal() else 0.0


def _span(reply: Reply) -> tuple[int, int | None]:
    """First byte sent, and bytes of the whole where it is told."""
    if reply.status != 206:
        return 0, reply.length
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", reply.headers.get("content-range", ""))
    if found is None:
        raise Broken("the server sent a part without saying which", again=False)
    return int(found[1]), None if found[2] == "*" else int(found[2])


def _chunks(answer: httpcore.Response) -> Iterator[bytes]:
    with _speaking():
        yield from answer.iter_stream()


def _bytes(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(key.encode("latin-1"), value.encode("latin-1")) for key, value in headers.items()]


@contextmanager
def _speaking() -> Iterator[None]:
    """httpcore's errors in our words; a certificate that is not trusted does not get better by waiting."""
    try:
        yield
    except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException) as error:
        untrusted = isinstance(error.__context__, ssl.SSLCertVerificationError) or "CERTIFICATE" in str(error)
        why = str(error) or type(error).__name__
        raise Broken(f"the connection failed ({why})", again=not untrusted) from error
    except (httpcore.UnsupportedProtocol, UnicodeError, ValueError) as error:
        raise Refused(f"it is no address that can be asked ({error})") from error
