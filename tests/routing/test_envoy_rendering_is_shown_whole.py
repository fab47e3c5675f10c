"""The whole rendered text, beside the table that it is rendered from.

After a change that is meant: ``MODELSERVE_REWRITE_GOLDEN=1 pytest tests/routing``, then read the difference.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from modelserve.domain.routes import (
    Backend,
    Endpoint,
    Mirror,
    RoutePolicy,
    RouteTable,
    ServiceRoute,
    Slots,
    Split,
    Weight,
)
from modelserve.routing.envoy import Door, bootstrap, render

GOLDEN = Path(__file__).with_name("golden")
CONTROL = Endpoint("127.0.0.1", 9000)
STABLE = Backend("bert-ner-00001", (Endpoint("127.0.0.1", 9001), Endpoint("127.0.0.1", 9002)))
CANDIDATE = Backend("bert-ner-00002", (Endpoint("127.0.0.1", 9003),))
SPEAKS_GRPC = (
    Backend(STABLE.revision, (Endpoint("127.0.0.1", 9001, 9101), Endpoint("127.0.0.1", 9002))),
    Backend(CANDIDATE.revision, (Endpoint("127.0.0.1", 9003, 9103),)),
)


def _service(
    *weights: Weight, mirror: Mirror | None = None, policy: RoutePolicy | None = None
) -> ServiceRoute:
    return ServiceRoute(
        "bert-ner", weights, (STABLE, CANDIDATE), STABLE.revision, mirror, policy or RoutePolicy(timeout=11.0)
    )


TABLES = {
    "empty": RouteTable(),
    "stable": RouteTable(
        (ServiceRoute("bert-ner", (Weight(STABLE.revision, 100.0),), (STABLE,), STABLE.revision),), CONTROL
    ),
    "shadow": RouteTable(
        (_service(Weight(STABLE.revision, 100.0), mirror=Mirror(CANDIDATE.revision, 20.0)),), CONTROL
    ),
    "repeat": RouteTable(
        (
            _service(
                Weight(STABLE.revision, 100.0),
                mirror=Mirror(CANDIDATE.revision, 20.0, repeat=True, inputs=True),
            ),
        ),
        CONTROL,
    ),
    "canary": RouteTable(
        (
            _service(
                Weight(STABLE.revision, 99.5),
                Weight(CANDIDATE.revision, 0.5, "candidate"),
                policy=RoutePolicy(timeout=11.0, per_try_timeout=2.5, retries=1),
            ),
        ),
        CONTROL,
    ),
    "grpc": RouteTable(
        (
            replace(
                _service(
                    Weight(SPEAKS_GRPC[0].revision, 95.0),
                    Weight(SPEAKS_GRPC[1].revision, 5.0, "candidate"),
                    mirror=Mirror(SPEAKS_GRPC[1].revision, 20.0),
                ),
                backends=SPEAKS_GRPC,
            ),
        ),
        CONTROL,
        grpc=True,
    ),
    "experiment": RouteTable(
        (
            replace(
                _service(Weight(SPEAKS_GRPC[0].revision, 100.0)),
                backends=SPEAKS_GRPC,
                split=Split(
                    "tone",
                    (
                        Slots("control", STABLE.revision, 4000),
                        Slots("bold", CANDIDATE.revision, 5000),
                        Slots("control", STABLE.revision, 1000),
                    ),
                    cookie="uid",
                ),
            ),
        ),
        CONTROL,
        grpc=True,
    ),
    "labels": RouteTable(
        (
            replace(
                _service(
                    Weight(STABLE.revision, 95.0),
                    Weight(CANDIDATE.revision, 5.0, "candidate"),
                    mirror=Mirror(CANDIDATE.revision, 20.0),
                ),
                remember=True,
            ),
        ),
        CONTROL,
    ),
    "probation": RouteTable((_service(Weight(CANDIDATE.revision, 100.0, "candidate")),), CONTROL),
}


def _compare(name: str, text: str) -> None:
    path = GOLDEN / f"{name}.json"
    if os.environ.get("MODELSERVE_REWRITE_GOLDEN"):
        path.write_text(text)
    assert path.read_text() == text, f"{path.name} differs; see this file's docstring"


def test_the_bootstrap(front_door: Door) -> None:
    _compare("bootstrap", bootstrap(front_door))


@pytest.mark.parametrize("name", TABLES)
def test_a_table(name: str) -> None:
    rendering = render(TABLES[name])
    _compare(f"{name}.clusters", rendering.clusters.text)
    _compare(f"{name}.routes", rendering.routes.text)


@pytest.mark.parametrize("name", TABLES)
def test_envoy_accepts_it(name: str, envoy_accepts: Callable[[RouteTable], None]) -> None:
    envoy_accepts(TABLES[name])
