"""Rotates a secret that is one random string: the four steps that Secrets Manager asks of a rotation.

A new value is made, and becomes the current one; the one before stays readable as AWSPREVIOUS, so that what
was signed with it can still be checked until the next rotation.
"""

import os

import boto3
from botocore.exceptions import ClientError

LENGTH = int(os.environ.get("SECRET_LENGTH", "64"))


def handler(event, _context):
    """``event``: SecretId, ClientRequestToken (id of the version to make) and Step."""
    secret, token, step = event["SecretId"], event["ClientRequestToken"], event["Step"]
    manager = boto3.client("secretsmanager")
    stages = manager.describe_secret(SecretId=secret)["VersionIdsToStages"]
    if token not in stages:
        raise ValueError(f"version {token} was not announced for this secret")
    if "AWSCURRENT" in stages[token]:
        return
    if step == "createSecret":
        _create(manager, secret, token)
    elif step == "finishSecret":
        _finish(manager, secret, token, stages)
    elif step not in ("setSecret", "testSecret"):  # nobody else has to be told, and nothing can be tried
        raise ValueError(f"step {step!r} is not known")


def _create(manager, secret, token):
    try:
        manager.get_secret_value(SecretId=secret, VersionId=token, VersionStage="AWSPENDING")
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundException":
            raise
        value = manager.get_random_password(PasswordLength=LENGTH, ExcludePunctuation=True)["RandomPassword"]
        manager.put_secret_value(
            SecretId=secret, ClientRequestToken=token, SecretString=value, VersionStages=["AWSPENDING"]
        )


def _finish(manager, secret, token, stages):
    current = next((version for version, names in stages.items() if "AWSCURRENT" in names), None)
    moved = {} if current is None else {"RemoveFromVersionId": current}
    manager.update_secret_version_stage(
        SecretId=secret, VersionStage="AWSCURRENT", MoveToVersionId=token, **moved
    )
