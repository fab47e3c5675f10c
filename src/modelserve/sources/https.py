"""Adapter: one file on a web server, a bare model or an archive of a package."""

from __future__ import annotations

from contextlib import AbstractContextManager

from modelserve.sources.base import Body, Listing, Refused, RemoteFile
from modelserve.sources.http import Http, Reply
from modelserve.sources.uris import SINGLE, ModelUri


class WebServer:
    """``https://host/path/model.onnx`` or ``.../package.tar.gz``; plain http from trusted hosts alone."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def look(self, uri: ModelUri) -> Listing:
        """By HEAD; a server that does not answer that still sends the file, only never from the cache."""
        if uri.single is None:
            raise Refused(f"the path must end in one of {', '.join(SINGLE)}")
        checks = {"sha256": uri.sha256} if uri.sha256 else {}
        size = validator = None
        try:
            with self._http.ask(uri.address, method="HEAD") as reply:
                size, validator = _size(reply), reply.validator
        except Refused:
            if not self._answers(uri):
                raise
        file = RemoteFile(uri.single, uri.address, size, validator, checks)
        return Listing((file,), validator)

    def open(self, file: RemoteFile, start: int) -> AbstractContextManager[Body]:
        return self._http.body(file.address, start, file.validator, file.checks)

    def _answers(self, uri: ModelUri) -> bool:
        """Whether GET is served where HEAD is refused, as behind URLs that are signed for one method."""
        try:
            with self._http.ask(uri.address, headers={"range": "bytes=0-0"}):
                return True
        except Refused:
            return False


def _size(reply: Reply) -> int | None:
    return reply.length if reply.status == 200 else None
