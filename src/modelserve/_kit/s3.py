"""S3 as plain reading and writing, with failures told apart by what can be done about them."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from modelserve._kit.downloads import Body, Broken, Changed, Refused

CHUNK = 1024 * 1024
CONNECT_TIMEOUT = 10.0
"""Seconds."""
_MD5 = re.compile(r"[0-9a-f]{32}")


def connect(stall: float) -> Any:
    """A client as the environment describes it (AWS_* variables, profiles, roles; AWS_ENDPOINT_URL).

    ``stall``: seconds without a byte after which a call fails. Raises ImportError without boto3.
    """
    import boto3
    from botocore.config import Config

    config = Config(
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=stall,
        retries={"mode": "standard", "max_attempts": 2},
        response_checksum_validation="when_required",
    )
    with speaking():
        return boto3.session.Session().client("s3", config=config)


class Missing(Refused):
    """There is no such object."""


@contextmanager
def speaking() -> Iterator[None]:
    """Turn boto3's errors into Refused, Changed or Broken."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        raise _meaning(error.response) from error
    except BotoCoreError as error:
        again = type(error).__name__ not in _SETUP
        raise Broken(_SETUP.get(type(error).__name__, str(error)), again=again) from error
    except Boto3Error as error:  # of a transfer in parts, which wraps what went wrong
        raise Broken(str(error)) from error


_SETUP = {
    "NoCredentialsError": "there are no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a "
    "profile or a role for the controller",
    "PartialCredentialsError": "the credentials are incomplete: set both AWS_ACCESS_KEY_ID and "
    "AWS_SECRET_ACCESS_KEY",
    "NoRegionError": "no region is known: set AWS_DEFAULT_REGION",
}
_MISSING = ("NoSuchKey", "NoSuchBucket", "NotFound", "404")
_CHANGED = ("PreconditionFailed", "412", "InvalidRange", "416")


def _meaning(response: Mapping[str, Any]) -> Exception:
    code = str(response.get("Error", {}).get("Code", ""))
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in _CHANGED:
        return Changed()
    if code == "NoSuchBucket":
        return Refused("there is no such bucket")
    if code in _MISSING:
        return Missing("there is no such object")
    if status in (401, 403):
        return Broken(
            f"access is denied ({code}): check the credentials and the bucket's policy", again=False
        )
    if 300 <= status < 500 and status not in (408, 429):
        return Refused(f"S3 refuses it ({code or status})")
    return Broken(f"S3 failed ({code or status})")


def listing(client: Any, bucket: str, prefix: str, most: int) -> list[Mapping[str, Any]]:
    """Objects under ``prefix`` with Key, ETag and Size, by key; one more than ``most`` at the utmost."""
    found: list[Mapping[str, Any]] = []
    with speaking():
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        for page in pages:
            found += page.get("Contents", ())
            if len(found) > most:
                break
    return found[: most + 1]


@contextmanager
def reading(client: Any, bucket: str, key: str, etag: str | None, start: int) -> Iterator[Body]:
    """The object from a byte on, as long as it still has this ETag."""
    asked = {"Bucket": bucket, "Key": key, "ChecksumMode": "ENABLED"}
    asked |= {"IfMatch": etag} if etag else {}
    asked |= {"Range": f"bytes={start}-"} if start else {}
    with speaking():
        answer = client.get_object(**asked)
    begins, size = _span(answer)
    try:
        yield Body(_chunks(answer["Body"]), begins, size, _checks(answer, whole=begins == 0))
    finally:
        answer["Body"].close()


def _span(answer: Mapping[str, Any]) -> tuple[int, int]:
    """First byte sent, and bytes of the whole object."""
    spans = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", answer.get("ContentRange", ""))
    return (int(spans[1]), int(spans[2])) if spans else (0, int(answer["ContentLength"]))


def _chunks(body: Any) -> Iterator[bytes]:
    from urllib3.exceptions import HTTPError

    read: Callable[[int], bytes] = body.read
    with speaking():
        try:
            while chunk := read(CHUNK):
                yield chunk
        except (HTTPError, OSError) as error:
            raise Broken(f"the connection broke ({type(error).__name__})") from error


def _checks(answer: Mapping[str, Any], *, whole: bool) -> dict[str, str]:
    """The object's sha256 where S3 has one of the whole; its MD5 where the ETag is that.

    An ETag is the MD5 of objects that came in one piece and are not encrypted with a key of their own.
    """
    checks = {}
    if whole and (given := answer.get("ChecksumSHA256")) and answer.get("ChecksumType") != "COMPOSITE":
        with suppress(ValueError):
            checks["sha256"] = base64.b64decode(given, validate=True).hex()
    etag = str(answer.get("ETag", "")).strip('"')
    encrypted = answer.get("SSECustomerAlgorithm") or answer.get("ServerSideEncryption") not in (
        None,
        "AES256",
    )
    if _MD5.fullmatch(etag) and not encrypted:
        checks["md5"] = etag
    return checks
