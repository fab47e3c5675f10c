"""Asking the other server: connections that are kept, one time limit for an exchange, words for failures.

Whose fault it was decides what a failure becomes: what the other server says of the request's content is the
client's affair; that it is busy, slow or away can be tried again; everything else its operator must look at.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import orjson

from modelserve._kit.traces import Elsewhere
from modelserve.errors import (
    DeadlineExceeded,
    InvalidInput,
    ModelFailed,
    ModelServeError,
    Overloaded,
    PayloadTooLarge,
    Unavailable,
)

CONNECT = 2.0
"""Seconds for a connection to be made, at most."""
LARGEST = 1024 * 1024 * 1024
"""Bytes of an answer that are read, at most."""
_SHOWN = 300
_BY_STATUS: dict[int, type[ModelServeError]] = {
    400: InvalidInput, 413: PayloadTooLarge, 422: InvalidInput, 429: Overloaded,
    404: Unavailable, 502: Unavailable, 503: Unavailable, 504: DeadlineExceeded,
}  # fmt: skip


class Connection:
    """Safe to use from several threads. Redirects are not followed and no proxy is asked."""

    def __init__(self, url: str, connections: int) -> None:
        self._url = url
        limits = httpx.Limits(max_connections=connections + 2, max_keepalive_connections=connections)
        self._client = httpx.Client(limits=limits, trust_env=False, follow_redirects=False)

    def get(self, path: str, limit: float) -> bytes:
        """What lies at a path below the model's URL, ``/v2`` for that of the server itself.

        ``limit`` in seconds. Raises as :meth:`post` does.
        """
        content, _ = self._exchange(lambda: self._client.build_request("GET", self._whole(path)), limit)
        return content

    def post(
        self, path: str, content: bytes, headers: Mapping[str, str], limit: float
    ) -> tuple[bytes, httpx.Headers]:
        """Body and headers of an answer with status 200; ``limit`` in seconds.

        Raises InvalidInput, PayloadTooLarge, Overloaded, DeadlineExceeded, Unavailable or ModelFailed.
        """
        return self._exchange(
            lambda: self._client.build_request("POST", self._whole(path), content=content, headers=headers),
            limit,
        )

    def close(self) -> None:
        self._client.close()

    def _whole(self, path: str) -> str:
        return self._url.partition("/v2/")[0] + path if path == "/v2" else self._url + path

    def _exchange(self, build: Callable[[], httpx.Request], limit: float) -> tuple[bytes, httpx.Headers]:
        until = time.monotonic() + limit
        request = build()
        request.extensions["timeout"] = httpx.Timeout(limit, connect=min(CONNECT, limit)).as_dict()
        try:
            answer = self._client.send(request, stream=True)
            try:
                content = _read(answer, until)
            finally:
                answer.close()
        except httpx.ConnectTimeout as error:
            raise Unavailable(f"the external server is out of reach: {error}", retry_after=1.0) from error
        except httpx.TimeoutException as error:
            raise DeadlineExceeded("the external server did not answer in time") from error
        except (httpx.HTTPError, RuntimeError) as error:  # RuntimeError: the client was closed meanwhile
            raise Unavailable(f"the external server is out of reach: {error}", retry_after=1.0) from error
        if answer.status_code != 200:
            raise _failure(answer, content)
        return content, answer.headers


def _read(answer: httpx.Response, until: float) -> bytes:
    chunks, size = [], 0
    for chunk in answer.iter_bytes():
        chunks.append(chunk)
        size += len(chunk)
        if size > LARGEST:
            raise ModelFailed(f"the external server's answer is larger than {LARGEST} bytes")
        if time.monotonic() > until:
            raise DeadlineExceeded("the external server did not end its answer in time")
    return b"".join(chunks)


def _failure(answer: httpx.Response, content: bytes) -> ModelServeError:
    kind = _BY_STATUS.get(answer.status_code, ModelFailed)
    after = answer.headers.get("retry-after", "")
    seconds = float(after) if after.isdigit() else (1.0 if kind.retryable else None)
    answered = f"the external server answered {answer.status_code}"
    error = kind(f"{answered}: {_said(answer, content)}", retry_after=seconds)
    error.__cause__ = Elsewhere(answered)  # all that a log may hold of it: what was said may repeat the input
    return error


def _said(answer: httpx.Response, content: bytes) -> str:
    """What an error's body says, on one line."""
    try:
        value = orjson.loads(content)
        said = value.get("error") or value.get("detail") or value if isinstance(value, dict) else value
    except orjson.JSONDecodeError:
        said = answer.reason_phrase
    line = " ".join(str(said).split())
    return line if len(line) <= _SHOWN else line[: _SHOWN - 1] + "…"


def as_object(content: bytes | memoryview) -> dict[str, Any]:
    """Raises ModelFailed for what is no JSON object."""
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise ModelFailed(f"the external server's answer is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ModelFailed("the external server's answer is no JSON object")
    return value
