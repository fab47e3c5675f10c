"""From a URL to the artefact store behind it."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from modelserve.errors import InvalidSpec
from modelserve.stores.blobs.base import Blobs
from modelserve.stores.blobs.local import LocalBlobs

_FORMS = "file:///absolute/folder or s3://bucket/prefix"


def open_blobs(url: str, cache: Path | None = None) -> Blobs:
    """``file:///absolute/folder`` opens a folder, ``s3://bucket/prefix`` a bucket with copies in ``cache``.

    Raises InvalidSpec for any other URL, Unavailable for a store that can't be had.
    """
    parts = urlsplit(url)
    if parts.query or parts.fragment or "@" in parts.netloc:
        raise InvalidSpec(f"artefact store: got a URL with more than a place in it; write {_FORMS}")
    if parts.scheme == "s3":
        return _open_s3(parts, cache)
    if parts.scheme != "file":
        given = f"{parts.scheme!r}" if parts.scheme else "no scheme"
        raise InvalidSpec(f"artefact store: {given} is not known; use {_FORMS}")
    if parts.netloc or not parts.path.startswith("/"):
        raise InvalidSpec(f"artefact store: {url!r}: write an absolute path, such as file:///srv/artefacts")
    return LocalBlobs(Path(unquote(parts.path)))


def _open_s3(parts: SplitResult, cache: Path | None) -> Blobs:
    from modelserve.stores.blobs.s3 import S3Blobs  # boto3 is heavy and optional

    if not parts.netloc or cache is None:
        raise InvalidSpec("artefact store: s3://bucket/prefix needs a bucket, and a folder for copies here")
    return S3Blobs(parts.netloc, unquote(parts.path).strip("/"), cache)
