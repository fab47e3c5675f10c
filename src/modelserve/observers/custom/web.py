"""A GET whose answer is small JSON: no redirects, bounded in time and bytes, and nothing secret in what is
said about it. URLs come from whoever may apply a service, so an answer that is no figure is never shown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import httpx

from modelserve.domain.guardrails import shown
from modelserve.observers.custom.base import NoData

LARGEST = 256 * 1024
"""Bytes of one answer."""


class Web:
    """``patience``: seconds that connecting, and each wait for bytes, may take."""

    def __init__(self, patience: float) -> None:
        self._client = httpx.AsyncClient(timeout=patience, follow_redirects=False, trust_env=False)

    async def get(self, url: str, query: Mapping[str, str] | None = None) -> tuple[int, Any]:
        """Status and JSON. Raises NoData."""
        try:
            async with self._client.stream("GET", url, params=query) as answer:
                body = await _read(answer)
        except httpx.TimeoutException:
            raise NoData("gave nothing in time") from None
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise NoData(f"could not be asked ({type(error).__name__})") from None
        if answer.is_redirect:
            target = shown(str(answer.headers.get("location", "")))
            raise NoData(f"answered {answer.status_code}, a redirect to {target}, which is not followed")
        try:
            return answer.status_code, json.loads(body)
        except (ValueError, RecursionError):
            raise NoData(f"answered {answer.status_code} with what is no JSON") from None

    async def close(self) -> None:
        await self._client.aclose()


async def _read(answer: httpx.Response) -> bytes:
    body = bytearray()
    async for chunk in answer.aiter_bytes():
        body += chunk
        if len(body) > LARGEST:
            raise NoData(f"answered with more than {LARGEST // 1024} KiB")
    return bytes(body)
