"""Libraries that make folders of their own in the user's when they are imported, given another place."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def caches_in(folder: str, *variables: str) -> Iterator[None]:
    """Meanwhile these environment variables name ``folder``; one that was set before keeps its value."""
    missing = [name for name in variables if not os.environ.get(name)]
    before = {name: os.environ.get(name) for name in missing}
    os.environ.update(dict.fromkeys(missing, folder))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
