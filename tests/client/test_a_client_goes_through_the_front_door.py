"""The client against a whole platform: Envoy in front, the controller behind it, a model server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelserve import Client
from modelserve.errors import DeadlineExceeded, UnknownModel, UnknownRevision


def test_it_is_answered_by_whom_it_asks(platform: Any, double_model: Path, rows: Any) -> None:
    platform.apply("m", double_model)
    platform.wait_for("m is stable", lambda: platform.service("m")["stable"])
    with Client(platform.door) as client:
        platform.wait_for("the door lets requests in", lambda: client.ready("m"))
        assert "binary_tensor_data" in client.metadata().extensions
        answer = client.infer("m", rows, revision="m-00001")
        np.testing.assert_array_equal(answer["y"], rows["x"] * 2)
        assert answer.revision == "m-00001"
        assert client.infer("m", rows).revision == "m-00001"
        with pytest.raises(UnknownRevision, match="m-00009"):
            client.infer("m", rows, revision="m-00009")
        with pytest.raises(UnknownModel, match="nobody"):
            client.infer("nobody", rows)
        with pytest.raises(DeadlineExceeded):
            client.infer("m", rows, timeout=1e-6)
        found = platform.cli("bench", "m", "--duration", "300ms", "--rate", "50")
        assert (found["errors"], found["by_revision"].keys()) == (0, {"m-00001"})
