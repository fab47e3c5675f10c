"""The cache, chosen by URL: answers that may be given again."""

from __future__ import annotations

import time
from urllib.parse import urlsplit

from modelserve.errors import InvalidInput, Unavailable
from modelserve.stores.cache.base import Cache
from modelserve.stores.cache.memory import MemoryCache

__all__ = ["Cache", "check_url", "open_cache"]

FORMS = "memory:// or redis://[user:password@]host[:port][/number], with rediss:// for TLS"


def open_cache(url: str, max_bytes: int) -> Cache:
    """The cache at ``url``; ``max_bytes`` bounds one in memory. No connection is made before the first call.

    Raises InvalidInput for a URL of another form (the password in it is not repeated), Unavailable where the
    adapter's library is not installed.
    """
    check_url(url)
    if url == "memory://":
        return MemoryCache(max_bytes, time.monotonic)
    try:
        from modelserve.stores.cache.redis import RedisCache
    except ModuleNotFoundError as error:
        raise Unavailable("a cache in Redis needs redis-py: run pip install 'modelserve[redis]'") from error
    return RedisCache(url)


def check_url(url: str) -> None:
    """Raise InvalidInput unless ``url`` has one of the forms that :func:`open_cache` knows."""
    if url == "memory://":
        return
    try:
        parts = urlsplit(url)
        database, fits = parts.path.removeprefix("/"), parts.scheme in ("redis", "rediss")
        fits = fits and bool(parts.hostname) and parts.port != 0
        fits = fits and (database == "" or database.isdecimal()) and not parts.query and not parts.fragment
    except ValueError:
        fits = False
    if not fits:
        raise InvalidInput(f"cache_url: must be {FORMS}")
