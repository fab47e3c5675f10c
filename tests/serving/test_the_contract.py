"""The OpenAPI document against the routes: what it says is so, whatever is sent."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode, checks

CHECKS = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]


@pytest.fixture(scope="module")
def operations(onnx_models: Any, start_shared: Any) -> list[Any]:
    """Every operation in the document of a running server of the tensor model."""
    url = start_shared(onnx_models["double"]).ready()
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    return [result.ok() for result in schema.get_all_operations()]


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_whatever_is_sent_the_answer_is_as_documented(operations: list[Any], mode: GenerationMode) -> None:
    assert len(operations) == 25
    for operation in operations:
        if mode is GenerationMode.POSITIVE or operation.body or operation.query:
            keeps_its_word(operation, mode)


def keeps_its_word(operation: Any, mode: GenerationMode) -> None:
    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(max_examples=5, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    def check(case: Any) -> None:
        for name, known in (("model", "m"), ("version", "m-00001")):
            if name in case.path_parameters:
                case.path_parameters[name] = known
        wait_for_the_answer(case.body)
        case.call_and_validate(checks=CHECKS)

    check()


def wait_for_the_answer(body: Any) -> None:
    """A client that says it waits for a microsecond gets its 504."""
    parameters = body.get("parameters") if isinstance(body, dict) else None
    if isinstance(parameters, dict) and type(parameters.get("timeout")) is int:
        parameters["timeout"] *= 10_000_000


async def test_the_document_names_every_route_and_only_statuses_that_are_given(serve: Any) -> None:
    async with serve() as server:
        document = (await server.client.get("/openapi.json")).json()
        infer = document["paths"]["/v2/models/{model}/infer"]["post"]
        assert set(infer["responses"]) == {"200", "400", "404", "413", "415", "500", "503", "504"}
        content = infer["requestBody"]["content"]
        assert content["application/json"]["schema"] == {"$ref": "#/components/schemas/InferRequest"}
        assert "application/octet-stream" in content
        answers = {"application/json", "application/octet-stream", "text/event-stream"}
        assert set(infer["responses"]["200"]["content"]) == answers
        stream = document["paths"]["/v2/models/{model}/generate_stream"]["post"]["responses"]
        assert set(stream["200"]["content"]) == {"text/event-stream"}
        asked = document["paths"]["/predict/{model}"]["post"]["requestBody"]["content"]
        assert set(asked) >= {"application/json", "image/png", "image/*", "multipart/form-data"}
        assert set(document["paths"]) >= {
            "/v2", "/v2/health/live", "/v2/health/ready", "/v2/models/{model}", "/v2/models/{model}/ready",
            "/v2/models/{model}/versions/{version}", "/v2/models/{model}/versions/{version}/ready",
            "/v2/models/{model}/versions/{version}/infer", "/v1/models/{model}", "/v1/models",
            "/v1/models/{model}:predict", "/predict/{model}", "/metrics", "/internal/figures",
            "/internal/answers", "/v2/models/{model}/generate", "/v2/models/{model}/generate_stream",
        }  # fmt: skip
        assert "422" not in str(document["paths"])
