"""The how-to pages show specs that work: each is applied, to real hosts that stand in for the named ones."""

import io
import json
import os
import re
import shlex
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from modelserve.cli.services import absolute
from modelserve.control import changes
from modelserve.control.book import Book
from modelserve.control.platform import Platform
from modelserve.launchers.memory import MemoryLauncher
from modelserve.manifest import parse
from modelserve.routers.memory import MemoryRouter
from modelserve.sources import open_sources
from modelserve.stores.blobs import open_blobs
from modelserve.stores.records import open_records

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/how-to/model-uris.md").read_text()
SPECS = re.findall(r"```yaml\n(.*?)```", PAGE, re.S)


@pytest.fixture
async def platform(tmp_path, web):
    made = Platform(
        Book(open_records(f"sqlite:///{tmp_path / 'r.db'}")),
        open_blobs((tmp_path / "artefacts").as_uri()),
        MemoryLauncher(),
        MemoryRouter(),
        (),
        sources=open_sources(tmp_path / "sources", trusted_hosts=("127.0.0.1",)),
    )
    await made.book.load()
    yield made
    await made.fetcher.close()


@pytest.fixture
def places(web, s3, monkeypatch):
    """The bundled models at the URIs of the page."""
    monkeypatch.setenv("HF_ENDPOINT", web.url)
    commit = "1" * 40
    files = {path.name: path for path in (ROOT / "models/bert-ner-2").iterdir()}
    siblings = [{"rfilename": name, "size": path.stat().st_size} for name, path in files.items()]
    told = {"sha": commit, "siblings": siblings}
    web.put("/api/models/acme/bert-ner/revision/v2", json.dumps(told).encode())
    for name, path in files.items():
        web.put(f"/acme/bert-ner/resolve/{commit}/{name}", path.read_bytes())
        s3.upload_file(str(path), "models", f"bert-ner/2/{name}")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as tar:
        tar.add(ROOT / "models/resnet-digits-2", "digits-2")
    web.put("/digits-2.tar.gz", packed.getvalue())
    return web


async def test_every_spec_of_the_page_on_uris_is_applied(platform, places):
    for text in SPECS:
        spec = parse(text.replace("https://models.example.com", places.url), "model-uris.md")
        uri = absolute(spec.spec.model.uri, ROOT)
        model = spec.spec.model.model_copy(update={"uri": uri})
        whole = spec.model_copy(update={"spec": spec.spec.model_copy(update={"model": model})})
        _, said = await changes.apply(platform, whole)
        assert said == f"{spec.name}-00001 is rolled out as the first revision"
    assert len(SPECS) == 4
    revisions = [r for service in platform.book.services() for r in service.revisions.values()]
    assert len({revision.digest for revision in revisions}) == 2, "wherever it lies, a model is one artefact"


REGISTRY = (ROOT / "docs/how-to/registry.md").read_text()


def steps(page):
    """Each command of the page with the lines that it prints."""
    for block in re.findall(r"```console\n(.*?)```", page, re.S):
        for step in block.split("$ modelserve ")[1:]:
            command, *printed = step.rstrip().split("\n")
            yield shlex.split(command), printed


def test_every_command_of_the_page_on_the_registry_prints_what_it_shows(fresh_platform):
    fresh_platform.up()
    for command, printed in steps(REGISTRY):
        done = subprocess.run(
            [sys.executable, "-m", "modelserve", *command],
            env=os.environ | {"MODELSERVE_HOME": str(fresh_platform.home)},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert [line.rstrip() for line in (done.stdout + done.stderr).splitlines()] == printed, command
        if command[0] == "deploy":
            fresh_platform.wait_for_phase("bert-ner", "stable", "shadow")
