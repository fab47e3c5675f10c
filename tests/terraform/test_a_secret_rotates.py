"""The function that rotates secrets, on a Secrets Manager of moto's ..."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import boto3
import pytest
from moto import mock_aws

from tests.terraform.tools import TREE


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    with mock_aws():
        yield boto3.client("secretsmanager")


@pytest.fixture
def rotate() -> Any:
    spec = importlib.util.spec_from_file_location("rotate", TREE / "modules/secrets/rotation/rotate.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.handler


def announce(manager: Any) -> tuple[str, str]:
    """A secret with a value, and the id of the version that Secrets Manager has announced."""
    secret = manager.create_secret(Name="signing", SecretString="old")["ARN"]
    token = str(uuid4())
    manager.put_secret_value(
        SecretId=secret, SecretString="-", ClientRequestToken=token, VersionStages=["AWSPENDING"]
    )
    return secret, token


def version(manager: Any, secret: str, stage: str) -> str:
    stages = manager.describe_secret(SecretId=secret)["VersionIdsToStages"]
    (found,) = [each for each, names in stages.items() if stage in names]
    return str(found)


def test_makes_a_new_value_and_keeps_the_one_before(manager: Any, rotate: Any) -> None:
    secret, token = announce(manager)
    for step in ("createSecret", "setSecret", "testSecret", "finishSecret"):
        rotate({"SecretId": secret, "ClientRequestToken": token, "Step": step}, None)
    assert version(manager, secret, "AWSCURRENT") == token
    before = version(manager, secret, "AWSPREVIOUS")
    assert manager.get_secret_value(SecretId=secret, VersionId=before)["SecretString"] == "old"


def test_makes_a_long_value_where_there_is_none_yet(manager: Any, rotate: Any) -> None:
    secret, token = announce(manager)
    made: dict[str, Any] = {}

    class Fresh:
        """Announced but without a value, as the real service has it; moto has no such state."""

        def __getattr__(self, name: str) -> Any:
            return getattr(manager, name)

        def get_secret_value(self, **_: Any) -> Any:
            raise manager.exceptions.ResourceNotFoundException(
                {"Error": {"Code": "ResourceNotFoundException"}}, "GetSecretValue"
            )

        def put_secret_value(self, **told: Any) -> None:
            made.update(told)

    rotate.__globals__["_create"](Fresh(), secret, token)
    assert made["VersionStages"] == ["AWSPENDING"]
    assert len(made["SecretString"]) == 64
    assert made["SecretString"].isalnum()


def test_does_nothing_twice(manager: Any, rotate: Any) -> None:
    secret, token = announce(manager)
    for _ in range(2):
        rotate({"SecretId": secret, "ClientRequestToken": token, "Step": "finishSecret"}, None)
    assert version(manager, secret, "AWSCURRENT") == token


@pytest.mark.parametrize("change", [{"ClientRequestToken": str(uuid4())}, {"Step": "eraseSecret"}])
def test_refuses_what_was_not_announced(manager: Any, rotate: Any, change: dict[str, str]) -> None:
    secret, token = announce(manager)
    with pytest.raises(ValueError, match="not"):
        rotate({"SecretId": secret, "ClientRequestToken": token, "Step": "createSecret"} | change, None)
