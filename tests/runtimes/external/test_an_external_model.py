"""A model of another server ..."""

import json
import time

import numpy as np
import pytest

from modelserve._kit.traces import where
from modelserve.domain.inference import DataType, TensorSpec
from modelserve.domain.models import Allowed
from modelserve.errors import (
    DeadlineExceeded,
    InvalidInput,
    InvalidPackage,
    InvalidSpec,
    ModelFailed,
    Overloaded,
    PayloadTooLarge,
    Unavailable,
)
from modelserve.packages import open_package
from modelserve.runtimes import runtime_for
from modelserve.runtimes.base import DEADLINE
from modelserve.runtimes.external import describe

GIVEN = {
    "x": np.array([[1.5, 2], [3, 4]], np.float32),
    "t": np.array(["Ærø".encode(), b""], object),
}


def one(**output):
    return json.dumps({"outputs": [{"name": "y", **output}]}).encode()


def until(condition, description):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, f"waited in vain: {description}"
        time.sleep(0.01)


@pytest.mark.parametrize("extensions", [[], ["binary_tensor_data"]], ids=["json", "binary"])
class TestTensors:
    def test_go_there_and_come_back(self, remote, refer, extensions):
        remote.extensions = extensions
        answers = refer().predict(GIVEN)
        np.testing.assert_array_equal(answers["y"], 2 * GIVEN["x"])
        assert answers["s"].tolist() == GIVEN["t"].tolist()
        _, headers, _ = remote.asked[-1]
        assert ("inference-header-content-length" in headers) == bool(extensions)

    def test_come_back_only_as_far_as_asked_for(self, remote, refer, extensions):
        remote.extensions = extensions
        assert list(refer().predict(GIVEN, ["s"])) == ["s"]


def test_has_the_signature_that_the_server_tells(refer):
    assert refer().signature.inputs == (
        TensorSpec("x", DataType.FP32, (-1, 2)), TensorSpec("t", DataType.BYTES, (-1,)),
    )  # fmt: skip


def test_is_the_same_package_as_long_as_the_server_says_the_same(remote):
    first = describe(remote.url, Allowed())
    assert describe(remote.url + "/", Allowed()) == first
    remote.extensions = ["binary_tensor_data"]
    assert describe(remote.url, Allowed()) != first


class TestFailures:
    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (400, InvalidInput), (413, PayloadTooLarge), (422, InvalidInput), (429, Overloaded),
            (401, ModelFailed), (404, Unavailable), (500, ModelFailed), (502, Unavailable),
            (503, Unavailable), (504, DeadlineExceeded), (302, ModelFailed),
        ],
    )  # fmt: skip
    def test_say_whose_fault_it_was(self, remote, refer, status, kind):
        model = refer()
        remote.scripted = status, {"location": "http://127.0.0.1:1/"}, b'{"error": "in its own\\nwords"}'
        with pytest.raises(kind, match=f"the external server answered {status}: in its own words") as caught:
            model.predict(GIVEN)
        logged = where(caught.value)
        assert f"the external server answered {status}" in logged
        assert "own words" not in logged, "they may repeat the input"

    def test_say_when_to_come_back(self, remote, refer):
        model = refer()
        remote.scripted = 503, {"retry-after": "7"}, b"busy"
        with pytest.raises(Unavailable) as caught:
            model.predict(GIVEN)
        assert caught.value.retry_after == 7

    @pytest.mark.parametrize(
        ("body", "message"),
        [
            (b"<html>", "is not JSON"),
            (b"[]", "no JSON object"),
            (b"{}", "lacks 'outputs'"),
            (b'{"outputs": []}', "lacks 'y'"),
            (one(datatype="FP32", shape=[2, 2], data=[1]), "1 elements"),
            (one(datatype="INT8", shape=[1], data=[1]), "metadata said FP32"),
            (one(datatype="BF16", shape=[1], data=[1]), "BF16"),
            (one(datatype="FP32", shape=[1], parameters={"binary_data_size": 4}), "header .* is missing"),
        ],
    )  # fmt: skip
    def test_of_the_protocol_are_the_models(self, remote, refer, body, message):
        model = refer()
        remote.scripted = 200, {}, body
        with pytest.raises(ModelFailed, match=message):
            model.predict(GIVEN)

    def test_to_answer_before_the_deadline_end_the_wait(self, remote, refer):
        model = refer()
        remote.hang.clear()
        token = DEADLINE.set(time.monotonic() + 0.2)
        try:
            with pytest.raises(DeadlineExceeded, match="did not answer in time"):
                model.predict(GIVEN)
        finally:
            DEADLINE.reset(token)
        _, headers, _ = remote.asked[-1]
        assert 0 < int(headers["x-envoy-expected-rq-timeout-ms"]) <= 200

    def test_to_say_nan_in_json_are_told_before_anything_is_sent(self, remote, refer):
        with pytest.raises(InvalidInput, match='input "x": holds NaN'):
            refer().predict({**GIVEN, "x": np.full((2, 2), np.nan, np.float32)})
        assert remote.asked == []


class TestReadiness:
    def test_follows_the_server(self, remote, refer):
        model = refer()
        assert model.vitals().available
        remote.ready = False
        until(lambda: not model.vitals().available, "it is no longer ready")
        remote.ready = True
        until(lambda: model.vitals().available, "it is ready again")

    @pytest.mark.parametrize("words", [b'{"ready": false}', b"{oops", b"{\xff}"])
    def test_follows_its_words_whatever_they_are(self, remote, refer, words):
        model = refer()
        remote.words = words
        until(lambda: not model.vitals().available, "it is no longer ready")
        remote.words = b'{"ready": true}'
        until(lambda: model.vitals().available, "it is ready again")

    def test_is_told_again_after_a_look_that_broke(self, refer, monkeypatch):
        model = refer()
        with monkeypatch.context() as patch:
            patch.setattr(model._connection, "get", lambda *_: 1 / 0)
            until(lambda: not model.vitals().available, "it is no longer ready")
        until(lambda: model.vitals().available, "it is ready again")

    def test_is_awaited_where_the_server_is_away_at_the_start(self, remote, refer):
        remote.ready = False
        assert not refer().vitals().available

    def test_ends_where_the_server_is_gone(self, remote, refer):
        model = refer()
        remote.gone = True
        with pytest.raises(Unavailable, match="out of reach"):
            model.predict(GIVEN)


class TestUrl:
    @pytest.mark.parametrize(
        ("url", "message"),
        [
            ("ftp://127.0.0.1/v2/models/m", "for runtime external write http://host:port/v2/models/NAME"),
            ("http://127.0.0.1/admin", "for runtime external write"),
            ("http://127.0.0.1/v2/models/m/infer", "for runtime external write"),
            ("http:///v2/models/m", "for runtime external write"),
            ("http://127.0.0.1:x/v2/models/m", "Port could not be cast"),
            ("http://me:pw@127.0.0.1/v2/models/m", "leave user, query and fragment out"),
            ("http://127.0.0.1/v2/models/m?token=1", "leave user, query and fragment out"),
            ("http://169.254.169.254/v2/models/m", "MODELSERVE_ALLOW_EXTERNAL=169.254.169.254:80"),
            ("https://triton.example/v2/models/m", "MODELSERVE_ALLOW_EXTERNAL=triton.example:443"),
            ("http://127.0.0.1.evil.example/v2/models/m", "requests are not sent on to"),
        ],
    )
    def test_that_is_none_or_not_allowed_is_refused_before_anybody_is_asked(self, url, message):
        with pytest.raises(InvalidSpec) as caught:
            describe(url, Allowed())
        assert message in caught.value.message

    @pytest.mark.parametrize("entry", ["triton.example", "triton.example:8000", "*.example"])
    def test_may_be_allowed_by_host(self, entry):
        assert Allowed(hosts=(entry,)).sends_to("Triton.example", 8000)
        assert not Allowed(hosts=(entry,)).sends_to("triton.example.org", 8000)


class TestMetadata:
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"inputs": []}, "names no inputs"),
            ({"outputs": None}, "names no outputs"),
            ({"inputs": [{"name": "x", "datatype": "BF16", "shape": [1]}]}, "inputs[0]: got"),
            ({"inputs": [{"name": "x", "datatype": "FP32", "shape": []}]}, "inputs[0]: got"),
        ],
    )
    def test_must_tell_tensors_that_are_known_here(self, remote, change, message):
        remote.metadata = {**remote.metadata, **change}
        with pytest.raises(InvalidPackage) as caught:
            describe(remote.url, Allowed())
        assert message in caught.value.message

    def test_must_still_be_what_the_revision_was_made_from(self, remote, refer, tmp_path):
        refer()
        remote.metadata = {**remote.metadata, "inputs": remote.metadata["inputs"][:1]}
        with pytest.raises(InvalidPackage, match="apply the service again"):
            runtime_for("external").load(open_package(tmp_path))

    def test_of_a_server_that_is_away_cannot_be_had(self, remote):
        remote.server.shutdown()
        remote.server.server_close()
        with pytest.raises(Unavailable, match="out of reach"):
            describe(remote.url, Allowed())


def test_is_not_named_by_a_file_that_holds_something_else(tmp_path):
    tensor = [{"name": "x", "datatype": "FP32", "shape": [-1]}]
    text = json.dumps({"url": "file:///etc/passwd", "inputs": tensor, "outputs": tensor})
    (tmp_path / "external.json").write_text(text)
    with pytest.raises(InvalidPackage, match=r"external\.json: url:"):
        open_package(tmp_path)
