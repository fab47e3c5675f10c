"""Adapter: artefacts in S3, each under its digest, with copies in a folder of this machine.

``PREFIX/sha256/ab/DIGEST/NAME`` are the files and ``PREFIX/sha256/ab/DIGEST.json`` lists them. The list is
written last, so that a reader finds a whole artefact or none, and two writers of one artefact write the same.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from modelserve._kit import s3
from modelserve._kit.downloads import Broken, Changed, Download, Patience, Refused, Wanted, file_hash
from modelserve._kit.trees import listing_digest, tree_files
from modelserve.errors import InvalidPackage, NotFound, Unavailable
from modelserve.stores.blobs.base import Artefact
from modelserve.stores.blobs.local import LocalBlobs

STALL = 30.0
"""Seconds without a byte after which a transfer has failed and is tried again."""

_DIGEST = re.compile(r"[0-9a-f]{64}")
Listed = Mapping[str, Any]
"""One file of an artefact: name, size, sha256."""


class S3Blobs:
    """The store at ``s3://bucket/prefix``; ``cache`` keeps what this machine works with.

    Raises Unavailable without boto3 or for a cache that can't be made.
    """

    def __init__(self, bucket: str, prefix: str, cache: Path, patience: Patience | None = None) -> None:
        self._bucket, self._prefix = bucket, f"{prefix}/" if prefix else ""
        self._patience = patience or Patience(stall=STALL)
        self._local = LocalBlobs(cache)
        self._incoming = self._local.root / "incoming"
        self._lock = threading.Lock()
        try:
            self._client = s3.connect(self._patience.stall)
        except ImportError as error:
            raise Unavailable("artefacts in S3 need boto3: run pip install 'modelserve[s3]'") from error
        except (Broken, Refused) as error:
            raise Unavailable(f"artefact store {self.url}: {error}") from error

    @property
    def url(self) -> str:
        return f"s3://{self._bucket}/{self._prefix}"

    def put(self, source: Path) -> tuple[str, Path]:
        digest, kept = self._local.put(source)
        with self._speaking("be written"):
            if self._list(digest) is None:
                self._upload(digest, kept)
        return digest, kept

    def path(self, digest: str) -> Path:
        try:
            return self._local.path(digest)
        except NotFound:
            with self._speaking("be read"):
                return self._download(digest)

    def verify(self, digest: str) -> None:
        """Both copies: the one in the bucket, and the one on this machine if there is one."""
        with self._speaking("be read"):
            found = listing_digest(self._measure(digest, file) for file in self._found(digest))
        if found != digest:
            raise InvalidPackage(f"artefact {digest}: its files now give {found}; put the package again")
        if any(artefact.digest == digest for artefact in self._local.artefacts()):
            self._local.verify(digest)

    def artefacts(self) -> tuple[Artefact, ...]:
        return self._local.artefacts()

    def evict(self, digest: str) -> None:
        self._local.evict(digest)

    def _upload(self, digest: str, kept: Path) -> None:
        files = []
        for name, path in tree_files(kept):
            sha256 = file_hash(path, "sha256")
            with s3.speaking():
                self._client.upload_file(str(path), self._bucket, f"{self._place(digest)}/{name}")
            files.append({"name": name, "size": path.stat().st_size, "sha256": sha256})
        with s3.speaking():
            self._client.put_object(
                Bucket=self._bucket,
                Key=f"{self._place(digest)}.json",
                Body=json.dumps({"files": files}).encode(),
                ContentType="application/json",
            )

    def _download(self, digest: str) -> Path:
        """By way of a folder of its own, where a broken transfer goes on."""
        folder = self._incoming / digest
        with self._lock:
            for file in self._found(digest):
                promised = Wanted(file["sha256"], file["size"], {"sha256": file["sha256"]})
                self._transfer(digest, file, folder / file["name"], promised)
            found, kept = self._local.put(folder)
            shutil.rmtree(folder, ignore_errors=True)
        if found != digest:
            raise Refused(f"the files of artefact {digest} give {found}")
        return kept

    def _measure(self, digest: str, file: Listed) -> tuple[str, int, str]:
        """Name, size and sha256 of what lies in the bucket now."""
        with tempfile.TemporaryDirectory(dir=self._local.root, prefix=".verify-") as folder:
            target = Path(folder) / "file"
            self._transfer(digest, file, target, Wanted())
            return file["name"], target.stat().st_size, file_hash(target, "sha256")

    def _transfer(self, digest: str, file: Listed, target: Path, wanted: Wanted) -> None:
        key = f"{self._place(digest)}/{file['name']}"
        Download(
            partial(s3.reading, self._client, self._bucket, key, None),
            target,
            wanted,
            limit=file["size"] if wanted.size is not None else 1 << 62,
            patience=self._patience,
            halt=threading.Event(),
            progress=lambda have: None,
        ).run()

    def _found(self, digest: str) -> Sequence[Listed]:
        files = self._list(digest) if _DIGEST.fullmatch(digest) else None
        if files is None:
            raise NotFound(f"artefact {digest!r} is not in the store")
        return files

    def _list(self, digest: str) -> Sequence[Listed] | None:
        try:
            with s3.reading(self._client, self._bucket, f"{self._place(digest)}.json", None, 0) as body:
                files = json.loads(b"".join(body.chunks))["files"]
        except s3.Missing:
            return None
        if any(not _stays_inside(file["name"]) for file in files):
            raise Refused(f"the list of artefact {digest} names a file outside of it")
        return list(files)

    def _place(self, digest: str) -> str:
        return f"{self._prefix}sha256/{digest[:2]}/{digest}"

    @contextmanager
    def _speaking(self, what: str) -> Iterator[None]:
        try:
            yield
        except (Broken, Refused, Changed, ValueError, KeyError, TypeError) as error:
            raise Unavailable(f"artefact store {self.url}: can't {what}: {error}", retry_after=5.0) from error
        except OSError as error:
            raise Unavailable(f"artefact store {self.url}: {error.strerror or error}") from error


def _stays_inside(name: str) -> bool:
    return bool(name) and not name.startswith("/") and ".." not in name.split("/") and "\0" not in name
