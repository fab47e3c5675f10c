"""What a load test asks: a route of a model, found in a URL or put together from a service's name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote, unquote, urlsplit

from modelserve.errors import InvalidInput

Protocol = Literal["oip", "binary", "v1", "task"]
_ROUTES: dict[Protocol, str] = {
    "oip": "/v2/models/{model}/infer",
    "binary": "/v2/models/{model}/infer",
    "v1": "/v1/models/{model}:predict",
    "task": "/predict/{model}",
}
_PATHS: tuple[tuple[Protocol, str], ...] = (
    ("oip", r"(?P<prefix>.*)/v2/models/(?P<model>[^/]+)(/versions/[^/]+)?/infer"),
    ("v1", r"(?P<prefix>.*)/v1/models/(?P<model>[^/:]+):predict"),
    ("task", r"(?P<prefix>.*)/predict/(?P<model>[^/]+)"),
)


@dataclass(frozen=True, slots=True)
class Target:
    """``door`` is the URL before the route; ``path`` is quoted and begins with the door's own, if any."""

    door: str
    path: str
    model: str
    protocol: Protocol

    @property
    def url(self) -> str:
        parts = urlsplit(self.door)
        return f"{parts.scheme}://{parts.netloc}{self.path}"

    @property
    def address(self) -> tuple[str, int]:
        """Host and port to connect to."""
        parts = urlsplit(self.door)
        assert parts.hostname is not None  # noqa: S101 - looked at when the target was made
        return parts.hostname, parts.port or (443 if self.tls else 80)

    @property
    def tls(self) -> bool:
        return self.door.startswith("https")


def of_service(door: str, model: str, protocol: Protocol) -> Target:
    """The route for a protocol behind a front door. Raises InvalidInput."""
    _check(door)
    path = urlsplit(door).path.rstrip("/") + _ROUTES[protocol].format(model=quote(model, safe=""))
    return Target(door.rstrip("/"), path, model, protocol)


def of_url(url: str, protocol: Protocol | None) -> Target:
    """The route that a URL names; ``protocol`` tells ``binary`` from ``oip``, which share one.

    Raises InvalidInput.
    """
    _check(url)
    parts = urlsplit(url)
    for spoken, pattern in _PATHS:
        if match := re.fullmatch(pattern, parts.path):
            chosen: Protocol = "binary" if (spoken, protocol) == ("oip", "binary") else spoken
            if protocol not in (None, chosen):
                raise InvalidInput(f"protocol: got {protocol}, but {parts.path} speaks {chosen}")
            door = f"{parts.scheme}://{parts.netloc}{match['prefix']}"
            return Target(door, parts.path, unquote(match["model"]), chosen)
    wanted = "/predict/NAME, /v2/models/NAME/infer or /v1/models/NAME:predict"
    raise InvalidInput(
        f"target: got the path {parts.path or '/'}; give the URL of {wanted}, or a service's name"
    )


def _check(url: str) -> None:
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        good = False
    if not good:
        raise InvalidInput(f"url: got {url!r}; give http://HOST:PORT or https://HOST")
