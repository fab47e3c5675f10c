"""How the command line talks to the platform that runs on this machine."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import httpx

from modelserve.errors import ModelServeError, Unavailable
from modelserve.settings import Home, default_home

TIMEOUT = 30.0
"""Seconds for an answer of a model."""
CHANGE_TIMEOUT = httpx.Timeout(5.0, read=600.0)
"""A big package is copied and checked before the controller answers."""


def service_path(name: str) -> str:
    """Path of a service in the control API, whatever signs the name has."""
    return f"/api/v1/services/{quote(name, safe='')}"


def experiment_path(name: str) -> str:
    """Likewise of an experiment."""
    return f"/api/v1/experiments/{quote(name, safe='')}"


def quoted(part: str) -> str:
    """One part of a path, whatever signs it has."""
    return quote(part, safe="") or "-"


class NotRunning(ModelServeError):
    code, status = "not_running", 503


class Refused(ModelServeError):
    """The platform answered with an error; its words are the message, ``kind`` is its code."""

    code = "refused"

    def __init__(self, message: str, kind: str = "") -> None:
        super().__init__(message)
        self.kind = kind


def about() -> dict[str, Any]:
    """What the running platform says of itself: pid, control, door. Raises NotRunning."""
    home = Home(default_home())
    try:
        found = json.loads(home.about.read_text())
        return {key: found[key] for key in ("pid", "control", "door", "since")}
    except (OSError, ValueError, KeyError, TypeError):
        raise NotRunning(f"no platform runs in {home.path}; start one with: modelserve up") from None


def control(method: str, path: str, document: Any = None) -> Any:
    """One call of the control API. Raises NotRunning or Refused."""
    try:
        return _call(method, about()["control"] + path, document)
    except httpx.ReadTimeout:
        raise Unavailable("the controller is still at work; see: modelserve status") from None
    except (httpx.HTTPError, ValueError):
        raise NotRunning("the controller does not answer; start it again with: modelserve up") from None


def door(
    path: str, *, content: bytes | None = None, headers: dict[str, str], timeout: float = TIMEOUT
) -> httpx.Response:
    """One inference call through the front door. Raises Refused or Unavailable."""
    try:
        answer = httpx.post(
            about()["door"] + path, content=content, headers=headers, timeout=timeout, trust_env=False
        )
    except httpx.HTTPError as error:
        raise Unavailable(
            f"the front door does not answer ({type(error).__name__}): modelserve status"
        ) from None
    if answer.is_error:
        raise Refused(_words(answer))
    return answer


def lines(path: str) -> list[str]:
    """What the control API sends line by line. Raises NotRunning or Refused."""
    try:
        answer = httpx.get(about()["control"] + path, timeout=CHANGE_TIMEOUT, trust_env=False)
    except httpx.HTTPError:
        raise NotRunning("the controller does not answer; start it again with: modelserve up") from None
    if answer.is_error:
        raise Refused(_words(answer), _kind(answer))
    return answer.text.split("\n")[:-1]


def _call(method: str, url: str, document: Any) -> Any:
    answer = httpx.request(method, url, json=document, timeout=CHANGE_TIMEOUT, trust_env=False)
    if answer.is_error:
        raise Refused(_words(answer), _kind(answer))
    return answer.json()


def _kind(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["code"])
    except (ValueError, KeyError, TypeError):
        return ""


def _words(answer: httpx.Response) -> str:
    try:
        body = answer.json()
        return str(body.get("detail") or body.get("error") or body)
    except (ValueError, AttributeError):
        return f"status {answer.status_code}: {answer.text[:200]}"
