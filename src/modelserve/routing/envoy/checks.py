"""What a route table must keep to so that it can be rendered: names that are safe, references that hold."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from modelserve.domain.routes import RouteTable, ServiceRoute
from modelserve.errors import InvalidSpec

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def check(table: RouteTable) -> None:
    """Raises InvalidSpec that names the service, the value and what would be right."""
    _once("service", (service.service for service in table.services))
    _once("revision", (b.revision for service in table.services for b in service.backends))
    for service in table.services:
        _check_service(service)


def _check_service(service: ServiceRoute) -> None:
    known = {backend.revision for backend in service.backends}
    for name in (service.service, *known):
        if not _NAME.fullmatch(name):
            raise InvalidSpec(f"{name!r} can't be routed: a name has lower-case letters, digits and dashes")
    used = {"fallback": service.fallback} | {f"weight of {w.revision}": w.revision for w in service.weights}
    if service.mirror is not None:
        used["mirror"] = service.mirror.revision
    for role, revision in used.items():
        if revision not in known:
            there = ", ".join(sorted(known)) or "none"
            raise InvalidSpec(
                f"{role} of service {service.service!r} names revision {revision!r}; its backends are {there}"
            )


def _once(kind: str, names: Iterable[str]) -> None:
    for name, count in Counter(names).items():
        if count > 1:
            raise InvalidSpec(f"{kind} {name!r} is in the route table {count} times; once is right")
