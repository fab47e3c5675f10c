"""A runtime ..."""

import sys

import pytest

from modelserve._kit.onnx_errors import first_line
from modelserve.errors import InvalidSpec, Unavailable
from modelserve.runtimes import runtime_for


def test_must_be_known():
    with pytest.raises(InvalidSpec, match="runtime: 'tensorflow' is not known; use 'onnx'"):
        runtime_for("tensorflow")


def test_that_is_not_installed_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.delitem(sys.modules, "modelserve._kit.onnxruntime", raising=False)
    monkeypatch.delitem(sys.modules, "modelserve.runtimes.onnx", raising=False)
    with pytest.raises(Unavailable, match=r"needs onnxruntime, .*: pip install 'modelserve\[onnx\]'"):
        runtime_for("onnx")


class TestWords:
    """The engine's words, as people get to see them."""

    @pytest.mark.parametrize(
        ("said", "shown"),
        [
            (
                "[ONNXRuntimeError] : 1 : FAIL : Load model from /srv/m.onnx failed:/onnxruntime_src/"
                "core/graph/model.cc:256 onnxruntime::Model::Model(onnx::ModelProto&&, PathString&, const "
                "onnxruntime::ModelOptions&) Unsupported model IR version: 99",
                "Unsupported model IR version: 99",
            ),
            (
                "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Running Add. Name:'/a/Add' Status Message: "
                "/onnxruntime_src/include/onnxruntime/core/framework/op_kernel.h:83 const T* onnxruntime::"
                "OpKernelContext::Input(int) const [with T = onnxruntime::Tensor] no such input",
                "Running Add. Name:'/a/Add' Status Message: no such input",
            ),
            (
                "[ONNXRuntimeError] : 1 : FAIL : tensorprotoutils.cc:619 Validate "
                'path missing: "/srv/secret/w.data"',
                'path missing: "w.data"',
            ),
            ("[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : first\n second", "first"),
            ("", "ValueError"),
        ],
    )
    def test_keep_the_message_and_lose_the_rest(self, said, shown):
        assert first_line(ValueError(said)) == shown

    def test_are_bounded(self):
        assert first_line(ValueError("x" * 1000), limit=20) == "x" * 19 + "…"
