"""HEAD is answered as GET is, without the body, by the controller and by the judge alone."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from modelserve.control.app import create_app
from modelserve.control.judging import alone

NAMES = {
    "name": "m",
    "id": "latest",
    "model": "m",
    "number": "1",
    "what": "pause",
    "alias": "a",
    "hook": "rollout",
}


@pytest.fixture(params=["controller", "judge"])
def app(request: Any, serving: Any) -> Any:
    return create_app(serving.platform) if request.param == "controller" else alone.create_app()


@pytest.fixture
def client(app: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8080")


@pytest.fixture
def operations(app: Any) -> dict[str, set[str]]:
    """The methods of each path, with names filled in."""
    found: dict[str, set[str]] = {}
    for path, told in app.openapi()["paths"].items():
        found.setdefault(path.format(**NAMES), set()).update(method.upper() for method in told)
    return found


async def test_on_every_path(client: httpx.AsyncClient, operations: dict[str, set[str]]) -> None:
    readable = [path for path, methods in operations.items() if "GET" in methods]
    assert len(readable) >= 3
    statuses = set()
    for path in [*readable, "/openapi.json", "/api/v1/nothing"]:
        head, got = await client.head(path), await client.get(path)
        assert (head.status_code, head.content) == (got.status_code, b""), path
        assert dict(head.headers) == dict(got.headers), path
        statuses.add(head.status_code)
    assert {200, 404} <= statuses


async def test_but_not_where_there_is_no_get(
    client: httpx.AsyncClient, operations: dict[str, set[str]]
) -> None:
    """A 405 names every method of its path, also where each has a route of its own."""
    for path, methods in operations.items():
        there = methods | ({"HEAD"} if "GET" in methods else set())
        for method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} - there:
            answer = await client.request(method, path)
            assert answer.status_code == 405, (method, path)
            assert set(answer.headers["allow"].split(", ")) >= there, (method, path)


async def test_by_whom_a_name_is_refused_too(client: httpx.AsyncClient) -> None:
    for path in ("/openapi.json", "/api/v1/status"):
        assert (await client.head(path, headers={"host": "evil.example"})).status_code == 403
