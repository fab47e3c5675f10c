"""The registry keeps models under names, and services serve what they name."""

import httpx
import pytest

from modelserve.control import artefacts
from modelserve.control.app import create_app

MODELS = "/api/v1/registry/models"


@pytest.fixture
async def api(controller):
    transport = httpx.ASGITransport(create_app(controller.platform))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        yield client


@pytest.fixture
async def champion(api, packages):
    """Two versions of ``scaler``, the first of which is the champion."""
    for package, aliases in ((packages[0], ["champion"]), (packages[1], [])):
        body = {"uri": str(package), "aliases": aliases, "metrics": {"f1": 0.5}, "tags": {"by": "ada"}}
        made = await api.post(f"{MODELS}/scaler/versions", json=body)
        assert made.status_code == 201, made.text
    return made.json()["version"]


def detail(answer: httpx.Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    return str(answer.json()["detail"])


async def put(api, uri, **model):
    body = {
        "apiVersion": "modelserve.ai/v1alpha1",
        "kind": "ModelService",
        "metadata": {"name": "m"},
        "spec": {"model": {"uri": uri, **model}, "rollout": {"shadow": None}},
    }
    return await api.put("/api/v1/services/m", json=body)


async def test_tells_what_is_known_of_a_version(api, champion, packages):
    shown = (await api.get(f"{MODELS}/scaler/versions/2")).json()
    assert shown == champion
    assert (shown["reference"], shown["uri"]) == ("models:/scaler/2", str(packages[1]))
    assert (shown["metrics"], shown["tags"]) == ({"f1": 0.5}, {"by": "ada"})
    listed = (await api.get(MODELS)).json()
    assert [(m["name"], m["aliases"], len(m["versions"])) for m in listed] == [("scaler", {"champion": 1}, 2)]


async def test_resolves_an_alias_when_a_spec_is_applied(api, controller, champion):
    assert (await put(api, "models:/scaler@champion")).status_code == 200
    await controller.until("m", "stable")
    shown = (await api.get("/api/v1/services/m")).json()
    assert shown["spec"]["spec"]["model"]["uri"] == "models:/scaler@champion"
    (revision,) = (await api.get("/api/v1/services/m/revisions")).json()
    assert revision["uri"] == "models:/scaler/1"


async def test_rolls_a_moved_alias_out_when_the_spec_is_applied_again(api, controller, champion):
    await put(api, "models:/scaler@champion")
    await controller.until("m", "stable")
    assert "nothing to roll out" in (await put(api, "models:/scaler@champion")).json()["message"]
    moved = (await api.put(f"{MODELS}/scaler/aliases/champion", json={"version": 2})).json()["message"]
    assert moved == "champion of scaler is version 2; apply again what names it, to roll it out: m"
    assert (await put(api, "models:/scaler@champion")).json()["message"].startswith("m-00002 is rolled out")


async def test_deletes_no_version_that_is_served_or_pointed_to(api, controller, champion):
    await put(api, "models:/scaler/2")
    await controller.until("m", "stable")
    said = detail(await api.delete(f"{MODELS}/scaler/versions/2"), 409)
    assert said == "models:/scaler/2 is what m-00001 serves: give m another model first"
    assert "m-00001" in detail(await api.delete(f"{MODELS}/scaler"), 409)
    assert "champion points to version 1" in detail(await api.delete(f"{MODELS}/scaler/versions/1"), 409)
    assert (await api.delete(f"{MODELS}/scaler/aliases/champion")).status_code == 200
    assert (await api.delete(f"{MODELS}/scaler/versions/1")).status_code == 200
    await api.delete("/api/v1/services/m")
    assert (await api.delete(f"{MODELS}/scaler")).status_code == 200
    assert (await api.get(MODELS)).json() == []


async def test_keeps_the_artefacts_of_its_versions(api, controller, champion):
    assert await artefacts.collect(controller.platform) == ()
    await api.delete(f"{MODELS}/scaler/versions/2")
    answer = (await api.post("/api/v1/artefacts/gc")).json()
    assert answer["digests"] == [champion["digest"]]


async def test_brings_an_artefact_back_from_its_own_source(api, controller, champion):
    controller.platform.blobs.evict(champion["digest"])
    assert (await put(api, "models:/scaler/2")).status_code == 200


async def test_does_not_serve_another_content_under_an_old_number(api, controller, champion, packages):
    controller.platform.blobs.evict(champion["digest"])
    kept = packages[1].read_bytes()
    try:
        packages[1].write_bytes(packages[2].read_bytes())
        assert champion["digest"] in detail(await put(api, "models:/scaler/2"), 422)
    finally:
        packages[1].write_bytes(kept)


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("models:/scaler/3", "scaler has 1, 2, @champion"),
        ("models:/scaler@best", "scaler has 1, 2, @champion"),
        ("models:/other/1", "no registered model 'other'"),
        ("models:/scaler", "write models:/name/version or models:/name@alias"),
        ("models:/scaler/1@champion", "write models:/name/version"),
        ("models:/scaler/latest", "write models:/name/version"),
    ],
)
async def test_refuses_a_reference_that_means_nothing(api, champion, uri, said):
    found = detail(await put(api, uri), 422)
    assert found.startswith(f"spec.model.uri: got '{uri}'")
    assert said in found


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"uri": "/no/such/model"}, "uri: got '/no/such/model': no such file"),
        ({"uri": "models:/scaler/1"}, "registered already"),
        ({"uri": "https://ada:hunter2@h/m.onnx"}, "a user or password"),
        ({"uri": ""}, "uri"),
        ({}, "uri"),
        ({"uri": "/x", "metrics": {"f1": "high"}}, "metrics.f1"),
        ({"uri": "/x", "aliases": ["1"]}, "aliases"),
        ({"uri": "/x", "colour": "red"}, "colour"),
        ({"uri": "/x", "digest": "short"}, "digest"),
    ],
)
async def test_refuses_to_register_what_is_wrong(api, champion, body, said):
    found = detail(await api.post(f"{MODELS}/scaler/versions", json=body), 422)
    assert said in found
    assert "hunter2" not in found
    assert len((await api.get(f"{MODELS}/scaler")).json()["versions"]) == 2


async def test_says_what_is_not_there(api, champion):
    assert "known: scaler" in detail(await api.get(f"{MODELS}/other"), 404)
    assert "known: 1, 2" in detail(await api.get(f"{MODELS}/scaler/versions/9"), 404)
    assert "known: 1, 2" in detail(await api.put(f"{MODELS}/scaler/aliases/x", json={"version": 9}), 404)
    assert "no alias" in detail(await api.delete(f"{MODELS}/scaler/aliases/x"), 404)
    detail(await api.get(f"{MODELS}/UPPER"), 422)
