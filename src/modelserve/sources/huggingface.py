"""Adapter: repositories of the Hugging Face hub, by its plain HTTP API.

Only what a model package needs is fetched: the ONNX file that is served with its weights, the small files
beside it, never the weights of other frameworks.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from fnmatch import fnmatch
from typing import Any
from urllib.parse import quote

from modelserve.sources.base import Body, Broken, Listing, Refused, RemoteFile
from modelserve.sources.http import Http
from modelserve.sources.uris import ModelUri

HUB = "https://huggingface.co"
MAX_ANSWER = 16 * 1024 * 1024
"""Bytes of the hub's description of one repository."""
SMALL = (
    "config.json", "modelserve.yaml", "README.md", "reference.jsonl", "tokenizer*.json", "vocab.*",
    "merges.txt", "special_tokens_map.json", "added_tokens.json", "preprocessor_config.json",
    "processor_config.json",
)  # fmt: skip
"""The files beside the model that a package may need."""
PREFERRED = ("model.onnx", "onnx/model.onnx")
"""Of several ONNX files the one that a package serves; without one of these all at the top are fetched."""

_REPO = re.compile(r"[\w.-]{1,96}(/[\w.-]{1,96})?")
_REVISION = re.compile(r"[\w./-]{1,200}")


def endpoint() -> str:
    """Where the hub is: ``HF_ENDPOINT``, a mirror that the operator names."""
    return (os.environ.get("HF_ENDPOINT") or HUB).rstrip("/")


class Hub:
    """``hf://org/name`` or ``hf://org/name@revision``."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def look(self, uri: ModelUri) -> Listing:
        if uri.sha256:
            raise Refused("'#sha256=' pins one file; name a commit after '@', or use spec.model.digest")
        repo, revision = _parts(uri)
        told = self._describe(repo, revision)
        commit = str(told.get("sha") or "")
        if not re.fullmatch(r"[0-9a-f]{40,64}", commit):
            raise Refused("the hub names no commit of it")
        found = {str(entry.get("rfilename")): entry for entry in told.get("siblings") or []}
        base = f"{endpoint()}/{repo}/resolve/{commit}"
        files = tuple(_file(base, commit, name, found[name]) for name in needed(sorted(found)))
        if not any(file.name.endswith(".onnx") for file in files):
            raise Refused(
                "it holds no .onnx file; export one with `optimum-cli export onnx --model MODEL FOLDER`"
            )
        return Listing(files, commit)

    def open(self, file: RemoteFile, start: int) -> AbstractContextManager[Body]:
        """The commit in the URL pins the content, so no ETag is asked for."""
        return self._http.body(file.address, start, None, file.checks, secret=_secret())

    def _describe(self, repo: str, revision: str) -> Mapping[str, Any]:
        url = f"{endpoint()}/api/models/{repo}/revision/{quote(revision, safe='')}?blobs=true"
        try:
            with self._http.ask(url, secret=_secret()) as reply:
                told = json.loads(_bounded(reply.content))
        except ValueError as error:
            raise Broken(f"the hub's answer is not JSON ({error})") from error
        except Refused as error:
            hint = "" if _secret() else "; if it is private, set HF_TOKEN for the controller"
            raise Refused(f"the hub has no {repo} at {revision} for us: {error}{hint}") from error
        if not isinstance(told, dict):
            raise Broken("the hub's answer is no object")
        return told


def needed(names: Sequence[str]) -> list[str]:
    """Which of a repository's files make the package."""
    models = [name for name in PREFERRED if name in names][:1]
    models = models or [name for name in names if name.endswith(".onnx") and "/" not in name]
    small = [name for name in names if any(fnmatch(name, pattern) for pattern in SMALL)]
    data = [
        name for name in names for model in models if re.fullmatch(re.escape(model) + r"[._]data.*", name)
    ]
    return [*models, *data, *small]


def _parts(uri: ModelUri) -> tuple[str, str]:
    repo, _, revision = f"{uri.host}/{uri.path}".strip("/").partition("@")
    if not _REPO.fullmatch(repo) or ".." in repo or not _REVISION.fullmatch(revision or "main"):
        raise Refused("write hf://organisation/name or hf://organisation/name@revision")
    return repo, revision or "main"


def _file(base: str, commit: str, name: str, entry: Mapping[str, Any]) -> RemoteFile:
    lfs = entry.get("lfs") or {}
    checks = {"sha256": lfs.get("sha256")} if lfs else {"git": entry.get("blobId")}
    size = entry.get("size")
    return RemoteFile(
        name,
        f"{base}/{quote(name)}",
        size if isinstance(size, int) else None,
        f"{commit}/{name}",
        {method: value for method, value in checks.items() if isinstance(value, str)},
    )


def _bounded(chunks: Iterator[bytes]) -> bytes:
    whole = bytearray()
    for chunk in chunks:
        whole += chunk
        if len(whole) > MAX_ANSWER:
            raise Refused(f"the hub's answer has more than {MAX_ANSWER} bytes")
    return bytes(whole)


def _secret() -> str:
    token = os.environ.get("HF_TOKEN", "").strip()
    return f"Bearer {token}" if token else ""
