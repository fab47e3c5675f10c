"""A whole platform with models whose requests must not share a run: who is told, and what owners may say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper

WHY = 'the first axis of input "x" has no name'


def save(path: Path, operator: str, axis: str | None, *more: str) -> Path:
    """A model from [rows, 2] to [rows, 2]."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [axis, 2]) for name in "xy")
    weights = [helper.make_tensor("zero", TensorProto.INT64, [], [0])]
    weights += [helper.make_tensor("seven", TensorProto.INT64, [2], [7, 2])]
    graph = helper.make_graph([helper.make_node(operator, ["x", *more], ["y"])], "g", [x], [y], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def served(platform: Any, name: str, model: Path, **server: Any) -> list[str]:
    """What a new service's server remarks once it is ready."""
    platform.apply(name, model, server=server)
    platform.wait_for_ready(name, f"{name}-00001")
    (replica,) = platform.service(name)["replicas"]
    return list(replica["remarks"])


def test_where_requests_run_alone(platform: Any, tmp_path: Path) -> None:
    nameless = save(tmp_path / "nameless.onnx", "Neg", None)
    (remark,) = served(platform, "nameless", nameless)
    assert remark.startswith(f"every request runs alone and whole: {WHY}")
    assert served(platform, "told", nameless, batching=True) == []
    assert served(platform, "none", nameless, batching="none") == [
        "every request runs alone and whole: its owner says batching: none"
    ]
    shown, _ = platform.start_cli("status").communicate(timeout=60)
    assert "nameless-00001: every request runs alone and whole" in " ".join(shown.split())


def test_where_an_owner_is_wrong_or_a_model_fails(platform: Any, tmp_path: Path) -> None:
    """Neither becomes ready: the rollout ends, and says why."""
    platform.apply("sums", save(tmp_path / "sums.onnx", "CumSum", "n", "zero"), server={"batching": True})
    platform.apply("failing", save(tmp_path / "failing.onnx", "Reshape", "n", "seven"))
    wrong = platform.wait_for_phase("sums", "rolled back")["reason"]
    assert "batching: true says that answers do not depend on the other rows" in wrong
    assert 'output "y" changes in company by' in wrong
    failed = platform.wait_for_phase("failing", "rolled back")["reason"]
    assert "the model fails on inputs that are made up from its signature" in failed
