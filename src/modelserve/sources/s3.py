"""Adapter: objects in S3 or in a store that speaks its language (AWS_ENDPOINT_URL)."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from modelserve._kit import s3
from modelserve.errors import Unavailable
from modelserve.sources.base import Body, Listing, Refused, RemoteFile
from modelserve.sources.uris import ModelUri


class Bucket:
    """``s3://bucket/folder``, or one object: ``s3://bucket/model.onnx``, ``.../package.tar.gz``."""

    def __init__(self, stall: float, most: int) -> None:
        self._stall, self._most = stall, most
        self._lock = threading.Lock()
        self._connected: Any = None

    def look(self, uri: ModelUri) -> Listing:
        if uri.single:
            return self._object(uri, uri.single)
        if uri.sha256:
            raise Refused("'#sha256=' pins one file; pin a folder with spec.model.digest")
        prefix = f"{uri.path.rstrip('/')}/" if uri.path.strip("/") else ""
        objects = s3.listing(self._client(), uri.host, prefix, self._most)
        files = tuple(_file(uri.host, prefix, found) for found in objects if not found["Key"].endswith("/"))
        if not files:
            raise Refused(f"nothing lies under {prefix!r} in the bucket {uri.host!r}")
        return Listing(files, _version(files))

    def open(self, file: RemoteFile, start: int) -> AbstractContextManager[Body]:
        bucket, _, key = file.address.partition("/")
        return s3.reading(self._client(), bucket, key, file.validator, start)

    def _object(self, uri: ModelUri, name: str) -> Listing:
        with s3.speaking():
            head = self._client().head_object(Bucket=uri.host, Key=uri.path)
        checks = {"sha256": uri.sha256} if uri.sha256 else {}
        etag = str(head["ETag"])
        file = RemoteFile(name, f"{uri.host}/{uri.path}", int(head["ContentLength"]), etag, checks)
        return Listing((file,), etag)

    def _client(self) -> Any:
        with self._lock:
            try:
                self._connected = self._connected or s3.connect(self._stall)
            except ImportError as error:
                raise Unavailable("models in S3 need boto3: run pip install 'modelserve[s3]'") from error
            return self._connected


def _file(bucket: str, prefix: str, found: Mapping[str, Any]) -> RemoteFile:
    key = str(found["Key"])
    return RemoteFile(key.removeprefix(prefix), f"{bucket}/{key}", int(found["Size"]), str(found["ETag"]))


def _version(files: tuple[RemoteFile, ...]) -> str:
    told = "\n".join(f"{file.name}\0{file.validator}\0{file.size}" for file in files)
    return hashlib.sha256(told.encode()).hexdigest()
