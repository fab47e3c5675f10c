"""Models are fetched ..."""

import asyncio
from collections import deque

import httpx
import pytest

from modelserve._kit.downloads import Patience
from modelserve.control import artefacts, changes
from modelserve.control.app import create_app
from modelserve.control.fetching import Fetcher
from modelserve.control.reconcile import reconcile
from modelserve.domain.services import ModelService
from modelserve.errors import Fetching, InvalidPackage, InvalidSpec, NotFound, Unavailable
from modelserve.sources import Bounds, open_sources
from modelserve.stores.blobs import open_blobs

QUICK = Bounds(patience=Patience(tries=3, first=0.001, longest=0.002, stall=10))


@pytest.fixture
async def fetching(controller, web, packages):
    """A controller that may fetch from the web host, which has three models."""
    for number, package in enumerate(packages, 1):
        web.put(f"/m{number}.onnx", package.read_bytes())
    controller.open_sources = lambda patience=20.0: _open(controller, patience)
    controller.open_sources()
    yield controller
    await controller.platform.fetcher.close()


def _open(controller, patience):
    sources = open_sources(controller.folder / "sources", bounds=QUICK, trusted_hosts=("127.0.0.1",))
    controller.platform.fetcher = Fetcher(controller.platform.blobs, sources, patience)


def spec(uri, name="m", **model):
    document = {"metadata": {"name": name}, "spec": {"model": {"uri": uri, **model}}}
    return ModelService.model_validate(document)


def size(platform):
    return len(platform.blobs.artefacts())


async def test_and_served_like_any_other(fetching, web):
    _, said = await changes.apply(fetching.platform, spec(f"{web.url}/m1.onnx"))
    assert said == "m-00001 is rolled out as the first revision"
    await fetching.until("m", "stable")
    shown = fetching.platform.book.service("m").revisions["m-00001"]
    assert shown.package.endswith(shown.digest)


async def test_not_again_while_nothing_changed(fetching, web):
    await changes.apply(fetching.platform, spec(f"{web.url}/m1.onnx"))
    await fetching.restart()
    fetching.open_sources()
    _, said = await changes.apply(fetching.platform, spec(f"{web.url}/m1.onnx"))
    assert "nothing to roll out" in said
    assert len(web.gets("/m1.onnx")) == 1


async def test_again_once_they_have_changed(fetching, web, packages):
    await changes.apply(fetching.platform, spec(f"{web.url}/m1.onnx"))
    web.put("/m1.onnx", packages[1].read_bytes())
    _, said = await changes.apply(fetching.platform, spec(f"{web.url}/m1.onnx"))
    assert said == "m-00002 is rolled out as the first revision"


async def test_once_for_many_who_ask(fetching, web):
    names = [f"m-{n}" for n in range(5)]
    await asyncio.gather(
        *(changes.apply(fetching.platform, spec(f"{web.url}/m1.onnx", name)) for name in names)
    )
    assert len(web.gets("/m1.onnx")) == 1
    assert [service.name for service in fetching.platform.book.services()] == names


async def test_on_while_the_controller_works_and_the_caller_is_told(fetching, web):
    fetching.open_sources(patience=0.05)
    web.resources["/m1.onnx"].drip = 0.002
    await fetching.platform.fetcher.close()
    fetching.open_sources(patience=0.05)
    with pytest.raises(
        Fetching, match=r"spec\.model\.uri: .*m1\.onnx' is still being fetched \(.* are here\)"
    ):
        await changes.apply(fetching.platform, spec(f"{web.url}/m1.onnx"))
    transport = httpx.ASGITransport(create_app(fetching.platform))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as api:
        assert (await api.get("/api/v1/status")).json()["fetches"][0]["uri"].endswith("m1.onnx")
        await reconcile(fetching.platform)
        path, body = "/api/v1/services/m", spec(f"{web.url}/m1.onnx").model_dump(mode="json", by_alias=True)
        while (answer := await api.put(path, json=body)).status_code == 503:
            assert answer.json()["code"] == "fetching"
            assert answer.json()["retryable"]
    assert answer.json()["message"] == "m-00001 is rolled out as the first revision"
    assert len(web.gets("/m1.onnx")) == 1


async def test_on_from_where_a_killed_controller_stopped(fetching, web):
    web.resources["/m1.onnx"].cuts = deque([60, 0, 0])
    with pytest.raises(Unavailable, match=r"spec\.model\.uri"):
        await changes.apply(fetching.platform, spec(f"{web.url}/m1.onnx"))
    await fetching.restart()
    fetching.open_sources()
    await changes.apply(fetching.platform, spec(f"{web.url}/m1.onnx"))
    assert web.gets("/m1.onnx")[-1]["range"] == "bytes=60-"


async def test_and_refused_where_they_are_no_models(fetching, web):
    web.put("/m1.onnx", b"nonsense")
    with pytest.raises(InvalidPackage):
        await changes.apply(fetching.platform, spec(f"{web.url}/m1.onnx"))
    assert fetching.platform.book.services() == ()
    assert len(await artefacts.collect(fetching.platform)) == 1


async def test_and_refused_where_the_digest_is_another(fetching, web, packages):
    digest, _ = fetching.platform.blobs.put(packages[0])
    await changes.apply(fetching.platform, spec(f"{web.url}/m1.onnx", digest=digest))
    for uri in (f"{web.url}/m2.onnx", str(packages[1])):
        with pytest.raises(
            InvalidSpec, match=r"spec\.model\.digest: got .*, but what spec\.model\.uri names"
        ):
            await changes.apply(fetching.platform, spec(uri, digest=digest))


async def test_and_dropped_when_nothing_names_them(fetching, web):
    platform = fetching.platform
    for number in (1, 2, 3):
        await changes.apply(platform, spec(f"{web.url}/m{number}.onnx", f"m-{number}"))
    assert await artefacts.collect(platform) == ()
    await changes.delete(platform, "m-1")
    await changes.delete(platform, "m-2")
    await reconcile(platform)
    left = await artefacts.collect(platform, sum(a.size for a in platform.blobs.artefacts()) - 1)
    assert len(left) == 1
    assert len(await artefacts.collect(platform)) == 1
    assert size(platform) == 1


async def test_and_dropped_by_themselves_beyond_the_limit(fetching, web):
    platform = fetching.platform
    platform.artefacts_limit = 1
    await changes.apply(platform, spec(f"{web.url}/m1.onnx", "m-1"))
    await changes.delete(platform, "m-1")
    await reconcile(platform)
    assert size(platform) == 1
    await changes.apply(platform, spec(f"{web.url}/m2.onnx", "m-2"))
    assert size(platform) == 1


async def test_again_after_they_were_dropped(fetching, web):
    platform = fetching.platform
    await changes.apply(platform, spec(f"{web.url}/m1.onnx"))
    await changes.delete(platform, "m")
    await artefacts.collect(platform)
    await changes.apply(platform, spec(f"{web.url}/m1.onnx"))
    assert len(web.gets("/m1.onnx")) == 2


async def test_and_brought_back_from_a_store_elsewhere_when_the_disk_was_lost(controller, packages, s3):
    platform = controller.platform
    platform.blobs = open_blobs("s3://models/store", controller.folder / "artefacts")
    platform.fetcher = Fetcher(platform.blobs, platform.sources)
    await controller.apply(packages[0])
    revision = platform.book.service("m").revisions["m-00001"]
    platform.blobs.evict(revision.digest)
    await artefacts.bring_back(platform)
    assert [artefact.digest for artefact in platform.blobs.artefacts()] == [revision.digest]


async def test_and_kept_while_somebody_is_about_to_name_them(fetching, packages):
    platform = fetching.platform
    async with platform.fetcher.copied(packages[0]) as (digest, folder):
        assert await artefacts.collect(platform) == ()
        assert folder.is_dir()
    await artefacts.collect(platform)
    with pytest.raises(NotFound):
        platform.blobs.path(digest)
