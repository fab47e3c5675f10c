"""The AWS environment ``dev``, applied for real to a local AWS once for all tests that look at it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config

from tests.terraform.tools import (
    Workspace,
    leave_out_what_moto_lacks,
    local_aws,
    mirror,
    resources,
    terraform,
    workspace,
)

DOMAIN = "models.example.com"
CI = {"repository": "acme/models", "subjects": ["environment:test"]}


@pytest.fixture(scope="session", autouse=True)
def needs_terraform() -> None:
    if terraform() is None:
        pytest.skip(
            "NOT TESTED: no `terraform` here, so nothing of terraform/ was tried", allow_module_level=True
        )
    if mirror() is None and not os.environ.get("TF_REGISTRY"):
        pytest.skip(
            "NOT TESTED: no mirror of the AWS provider here (TF_PLUGIN_MIRROR=folder), and TF_REGISTRY=1 "
            "does not say that Terraform's registry can be reached"
        )


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A copy for what needs no AWS. Modules share one copy of the provider."""
    path = tmp_path_factory.mktemp("tree")
    cache = path / "cache"
    cache.mkdir()
    return workspace(path, TF_PLUGIN_CACHE_DIR=str(cache))


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with local_aws(tmp_path_factory.mktemp("moto")) as url:
        yield url


def client(url: str, service: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=url,
        region_name="eu-central-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        config=Config(retries={"max_attempts": 1}, s3={"addressing_style": "path"}),
    )


class Applied:
    """``dev`` as Terraform made it, and as it is seen from outside.

    ``before`` is how it was with a certificate alone.
    """

    def __init__(self, workspace: Workspace, url: str, before: Applied | None = None) -> None:
        self.workspace, self._url, self.before = workspace, url, before
        shown = json.loads(workspace.run("environments/dev", "show", "-json").stdout)
        self.resources = list(resources(shown["values"]["root_module"]))
        self.outputs = {name: each["value"] for name, each in shown["values"]["outputs"].items()}

    def client(self, service: str) -> Any:
        return client(self._url, service)

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The values of all resources of a kind."""
        return [each["values"] for each in self.resources if each["type"] == kind]


def _apply(space: Workspace, *told: str) -> None:
    """Once more if moto answers one of a few hundred calls at once with a 500, as people do on AWS."""
    apply = ("apply", "-auto-approve", "-parallelism=6", *told)
    first = space.run("environments/dev", *apply, check=False)
    if first.returncode:
        said = [line for line in (first.stdout + first.stderr).splitlines() if line.startswith("Error")]
        print("the first apply ended with", *said, sep="\n")
        assert all("StatusCode: 500" in line for line in said), first.stdout[-6000:] + first.stderr[-6000:]
        space.run("environments/dev", *apply)


@pytest.fixture(scope="session")
def applied(tmp_path_factory: pytest.TempPathFactory, aws: str) -> Iterator[Applied]:
    """Applies dev, and destroys it in the end."""
    space = workspace(tmp_path_factory.mktemp("applied"), AWS_ENDPOINT_URL=aws)
    leave_out_what_moto_lacks(space.path)
    space.init("environments/dev")
    variables = (f"domain={DOMAIN}", "max_retries=2", "cache=null", "owns_account=true")
    told = ("-input=false", "-no-color", *(f"-var={each}" for each in variables))
    _apply(space, "-target=module.platform.module.edge.aws_acm_certificate.this", *told)
    before = Applied(space, aws)
    _apply(space, *told)
    yield Applied(space, aws, before)
    space.run("environments/dev", "destroy", "-auto-approve", *told)
    left = json.loads(space.run("environments/dev", "show", "-json").stdout)
    assert not left.get("values"), "destroy leaves nothing behind"


@pytest.fixture(scope="session")
def planned(tmp_path_factory: pytest.TempPathFactory, aws: str) -> Callable[[str], dict[str, Any]]:
    """``planned("prod")``: the plan of a whole environment, as JSON; nothing is left out.

    The account is one in which CI is known already, as where another environment owns it.
    """
    client(aws, "iam").create_open_id_connect_provider(
        Url="https://token.actions.githubusercontent.com", ClientIDList=["sts.amazonaws.com"]
    )
    space = workspace(tmp_path_factory.mktemp("planned"), AWS_ENDPOINT_URL=aws)
    known: dict[str, dict[str, Any]] = {}

    def plan(environment: str) -> dict[str, Any]:
        if environment not in known:
            space.init(f"environments/{environment}")
            known[environment] = space.plan(
                f"environments/{environment}", domain=DOMAIN, max_retries=2, ci=CI
            )
        return known[environment]

    return plan
