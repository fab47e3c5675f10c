"""Every place that a model may come from, joined by the scheme of its URI."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from modelserve._kit.downloads import Broken, Changed, Refused
from modelserve.errors import InvalidSpec, Unavailable
from modelserve.sources.addresses import Policy
from modelserve.sources.base import Listing, Source
from modelserve.sources.fetching import Bounds, Fetch, Fetched, Progress
from modelserve.sources.http import Http
from modelserve.sources.https import WebServer
from modelserve.sources.huggingface import HUB, Hub, endpoint
from modelserve.sources.memory import Memory
from modelserve.sources.s3 import Bucket
from modelserve.sources.uris import ModelUri


class Sources:
    """Looks at URIs and fetches them. All errors name the field ``where`` and the URI.

    Raises InvalidSpec for what asking again can't help, Unavailable for what it may.
    """

    def __init__(self, adapters: Mapping[str, Source], memory: Memory, bounds: Bounds) -> None:
        self._adapters, self._bounds = adapters, bounds
        self.memory = memory
        self._halt = threading.Event()

    @classmethod
    def none(cls) -> Sources:
        """Of a machine that takes models from its own disk alone."""
        return cls({}, Memory(Path(os.devnull)), Bounds())

    def look(self, uri: ModelUri, where: str) -> Listing:
        """What the URI means now."""
        source = self._source(uri, where)
        with _speaking(uri, where):
            return self._patiently(source, uri)

    def fetch(self, uri: ModelUri, listing: Listing, progress: Progress, where: str) -> Fetched:
        """Its files, in the workspace of :class:`Memory`; a fetch that broke off goes on."""
        source, folder = self._source(uri, where), self.memory.workspace(uri.text)
        with _speaking(uri, where):
            fetch = Fetch(source, folder, self._bounds, self._halt, progress)
            return fetch.run(lambda: self._patiently(source, uri), listing)

    def stop(self) -> None:
        """End every fetch under way, soon; what is half-way here stays for the next start."""
        self._halt.set()

    def _source(self, uri: ModelUri, where: str) -> Source:
        if uri.scheme in self._adapters:
            return self._adapters[uri.scheme]
        forms = "a path, file:///path, models:/name/version"
        known = ", ".join((forms, *(f"{scheme}://..." for scheme in self._adapters if scheme != "http")))
        raise InvalidSpec(f"{where}: got {uri.shown!r}: write {known}")

    def _patiently(self, source: Source, uri: ModelUri) -> Listing:
        patience = self._bounds.patience
        for failures in range(1, patience.tries):
            try:
                return source.look(uri)
            except Broken as error:
                if not error.again or self._halt.wait(max(patience.delay(failures), error.after)):
                    raise
        return source.look(uri)


def open_sources(root: Path, *, bounds: Bounds | None = None, trusted_hosts: tuple[str, ...] = ()) -> Sources:
    """The adapters as the operator set them up; what is remembered of fetches lies under ``root``."""
    bounds = bounds or Bounds()
    stall = bounds.patience.stall
    web = WebServer(Http(Policy(trusted_hosts), stall))
    hub = Hub(Http(_with_hub(Policy(trusted_hosts)), stall))
    bucket = Bucket(stall, bounds.max_files)
    return Sources({"https": web, "http": web, "s3": bucket, "hf": hub}, Memory(root), bounds)


def _with_hub(policy: Policy) -> Policy:
    """A mirror that the operator names in HF_ENDPOINT may be private and speak plain http."""
    if endpoint() == HUB:
        return policy
    parts = urlsplit(endpoint())
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return policy.with_host(parts.hostname or "", port)


@contextmanager
def _speaking(uri: ModelUri, where: str) -> Iterator[None]:
    told = f"{where}: got {uri.shown!r}"
    try:
        yield
    except Refused as error:
        raise InvalidSpec(f"{told}: {error}") from error
    except Changed as error:
        raise Unavailable(f"{told}: it changes while it is looked at", retry_after=1.0) from error
    except Broken as error:
        raise Unavailable(f"{told}: {error}; what has come is kept, so try again", retry_after=5.0) from error
    except OSError as error:
        why = error.strerror or str(error)
        raise Unavailable(f"{told}: this machine can't keep it: {why}", retry_after=5.0) from error
