"""Terraform with the real AWS provider, in a copy of the tree, against moto's local AWS."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from modelserve._kit.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
TREE = ROOT / "terraform"
MODULES = sorted(path.name for path in (TREE / "modules").iterdir() if path.is_dir())
ENVIRONMENTS = ("dev", "staging", "prod")
MIRRORS = ("/opt/tf-plugins", "~/.terraform.d/plugins", "/usr/local/share/terraform/plugins")
"""Where a provider may lie on the disk, beside what ``TF_PLUGIN_MIRROR`` names."""

LACKS: dict[str, dict[str, str]] = {
    "secrets": {"aws_secretsmanager_secret_rotation.this": "for_each = {}"},
    "cost": {
        "aws_backup_selection.this": "count = 0",
        "aws_backup_vault.this": "force_destroy = false",  # which would list recovery points
        "aws_budgets_budget.this": "count = 0",
    },
    "cluster": {
        "aws_eks_addon.first": "for_each = {}",
        "aws_eks_addon.this": "for_each = {}",
        "aws_eks_access_entry.this": "for_each = {}",
        "aws_eks_access_policy_association.this": "for_each = {}",
    },
}
"""What moto can't make: module => resource => what takes it out. The modules' tests, with mocks, cover it.
So they do Redis (``cache``), whose parameter and replication groups moto does not have."""

LOCAL = """\
terraform {
  backend "local" {}
}

provider "aws" {
  access_key                  = "testing"
  secret_key                  = "testing"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  s3_use_path_style           = true
}
"""


def terraform() -> str | None:
    return shutil.which("terraform")


def mirror() -> Path | None:
    """A folder with the AWS provider in it, laid out as a registry."""
    places = [os.environ.get("TF_PLUGIN_MIRROR", ""), *MIRRORS]
    found = (Path(place).expanduser() for place in places if place)
    return next((place for place in found if (place / "registry.terraform.io/hashicorp/aws").is_dir()), None)


@dataclass
class Workspace:
    """A copy of the tree, and the environment in which Terraform runs on it."""

    path: Path
    environment: dict[str, str]

    def run(self, folder: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Raises AssertionError with the last lines of what Terraform said."""
        done = subprocess.run(
            ["terraform", *arguments],
            cwd=self.path / folder,
            env=self.environment,
            text=True,
            capture_output=True,
        )
        if check and done.returncode:
            raise AssertionError(
                f"terraform {arguments[0]} in {folder}:\n{(done.stdout + done.stderr)[-6000:]}"
            )
        return done

    def init(self, folder: str) -> None:
        self.run(folder, "init", "-input=false", "-no-color")

    def plan(self, folder: str, **variables: Any) -> dict[str, Any]:
        """The plan as JSON."""
        named = [f"-var={name}={_literal(value)}" for name, value in variables.items()]
        self.run(folder, "plan", "-input=false", "-no-color", "-out=made.plan", *named)
        plan: dict[str, Any] = json.loads(self.run(folder, "show", "-json", "made.plan").stdout)
        return plan


def workspace(path: Path, **more: str) -> Workspace:
    """Copies the tree to ``path``; environments keep their state there and know fake keys alone."""
    shutil.copytree(TREE, path / "terraform", ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*"))
    for name in ENVIRONMENTS:
        (path / "terraform/environments" / name / "local_override.tf").write_text(LOCAL)
    configuration = path / "terraformrc"
    place = mirror()
    configuration.write_text(
        f'provider_installation {{\n  filesystem_mirror {{ path = "{place}" }}\n}}\n' if place else ""
    )
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TF_"))},
        "TF_CLI_CONFIG_FILE": str(configuration),
        "TF_IN_AUTOMATION": "1",
        "CHECKPOINT_DISABLE": "1",
        "AWS_REGION": "eu-central-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        **more,
    }
    return Workspace(path / "terraform", environment)


def leave_out_what_moto_lacks(path: Path) -> None:
    for module, resources in LACKS.items():
        blocks = []
        for address, nothing in resources.items():
            kind, name = address.split(".")
            blocks.append(f'resource "{kind}" "{name}" {{\n  {nothing}\n}}\n')
        (path / "modules" / module / "moto_override.tf").write_text("\n".join(blocks))


@contextmanager
def local_aws(folder: Path) -> Iterator[str]:
    """moto's server on a free port; gives its URL."""
    port = free_port()
    environment = os.environ | {"MOTO_IAM_LOAD_MANAGED_POLICIES": "true", "MOTO_ACM_VALIDATION_WAIT": "0"}
    with (folder / "moto.log").open("w") as log:
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_for(url, server)
        yield url
    finally:
        server.terminate()
        server.wait(10)


def _wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        try:
            httpx.get(f"{url}/moto-api/", timeout=1, trust_env=False)
            return
        except httpx.HTTPError:
            assert server.poll() is None, "moto does not start"
    raise AssertionError("moto does not answer")


def _literal(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def resources(module: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Every managed resource of a state's or a plan's ``values``, in all modules.

    Of a resource that depends on others for all that it has, a plan tells no values.
    """
    yield from ({"values": {}} | each for each in module.get("resources", ()) if each["mode"] == "managed")
    for child in module.get("child_modules", ()):
        yield from resources(child)
