"""Parts of real traffic are guarded, by servers that were started before anybody named a segment."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from onnx import TensorProto, helper, save

TENANTS = {"acme": 500, "globex": 3}
"""What each of them asks for: a place in the model's table."""
RULES = {
    "shadow": None,
    "canary": {"steps": ["50%", "100%"], "minStep": "1s"},
    "judge": {
        "segments": [{"name": "tenant", "header": "x-tenant"}],
        "guardrails": [{"metric": "error_rate", "maxIncrease": "1%", "segment": "tenant", "required": True}],
    },
}


def table(path: Path, size: int) -> Path:
    """A model that looks a number up in a table, and fails for one beyond it."""
    values = helper.make_tensor("values", TensorProto.FLOAT, [size], [float(n) for n in range(size)])
    graph = helper.make_graph(
        [helper.make_node("Gather", ["values", "x"], ["y"])],
        "table",
        [helper.make_tensor_value_info("x", TensorProto.INT64, ["n"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n"])],
        [values],
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


@contextmanager
def clients(door: str) -> Iterator[None]:
    """One client of each tenant, who asks over and over."""
    stop = threading.Event()

    def ask_on(tenant: str, place: int) -> None:
        body = {"inputs": [{"name": "x", "shape": [1], "datatype": "INT64", "data": [place]}]}
        with httpx.Client(timeout=30) as client:
            while not stop.wait(0.005):
                client.post(f"{door}/v2/models/table/infer", json=body, headers={"x-tenant": tenant})

    threads = [threading.Thread(target=ask_on, args=pair) for pair in TENANTS.items()]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)


def pid_of(platform: Any, revision: str) -> int:
    (replica,) = [r for r in platform.service("table")["replicas"] if r["revision"] == revision]
    return int(replica["pid"])


def test_and_the_one_that_is_hurt_is_named(platform: Any, tmp_path: Path) -> None:
    platform.apply("table", table(tmp_path / "large.onnx", 1000))
    platform.wait_for_phase("table", "stable")
    before = pid_of(platform, "table-00001")
    with clients(platform.door):
        platform.apply("table", table(tmp_path / "small.onnx", 10), rollout=RULES)
        ended = platform.wait_for_phase("table", "rolled back", "probation")
    assert ended["phase"] == "rolled back"
    assert "tenant=acme" in ended["reason"]
    assert pid_of(platform, "table-00001") == before, "nothing was restarted to count"
