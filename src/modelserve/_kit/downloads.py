"""One file from a place that may fail half-way: whole and checked on this disk, or not there.

What has arrived lies in ``TARGET.part``, with a note beside it (``TARGET.note``) that says of which content
it is a part. A later try, in this process or the next, asks for the rest of the same content only.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from pathlib import Path

MEANINGFUL = 1024 * 1024
"""Bytes after which a broken try counts as progress, so that the count of failures starts again."""


class Refused(Exception):
    """No further try can help; the message says why."""


class Changed(Exception):
    """The content is no longer the one that was asked for."""


class Broken(Exception):
    """This try failed. ``again``: whether another may help; ``after``: not before so many seconds."""

    def __init__(self, reason: str, *, again: bool = True, after: float = 0.0) -> None:
        super().__init__(reason)
        self.again = again
        self.after = after


@dataclass(frozen=True, slots=True)
class Body:
    """What a place sends."""

    chunks: Iterator[bytes]
    start: int = 0
    """The byte of the file at which ``chunks`` begin: 0 where the place can't send a rest alone."""
    size: int | None = None
    """Bytes of the whole file."""
    checks: Mapping[str, str] = field(default_factory=dict)
    """What the whole file must hash to, in hex, by method: ``sha256``, ``md5``, ``git``."""


Open = Callable[[int], AbstractContextManager[Body]]
"""Ask for the content from a byte on. Raises Refused, Changed or Broken, also while chunks are read."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One file as it was promised."""

    identity: str | None = None
    """Equal for equal content, such as an ETag; None: nothing is resumed."""
    size: int | None = None
    checks: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a download goes on trying."""

    tries: int = 6
    """Failures in a row, without a mebibyte between them."""
    first: float = 0.2
    """Seconds before the second try; they double, up to ``longest``."""
    longest: float = 10.0
    stall: float = 30.0
    """Seconds without a byte, or with fewer than ``slowest`` bytes a second, after which a try has failed."""
    slowest: int = 1024

    def delay(self, failures: int) -> float:
        """Seconds to wait, with jitter, so that many clients of one place don't come back together."""
        bound = min(self.longest, self.first * 2 ** (failures - 1))
        return random.uniform(bound / 2, bound)  # noqa: S311 - no secret depends on it


class Download:
    """One file on its way. ``limit`` bounds its bytes; ``halt``, once set, ends it with Broken."""

    def __init__(
        self,
        open_: Open,
        target: Path,
        wanted: Wanted,
        *,
        limit: int,
        patience: Patience,
        halt: threading.Event,
        progress: Callable[[int], None],
    ) -> None:
        self._open, self._target, self._wanted = open_, target, wanted
        self._limit, self._patience, self._halt, self._progress = limit, patience, halt, progress
        self._part = target.with_name(f"{target.name}.part")
        self._note = target.with_name(f"{target.name}.note")
        self._checks = dict(wanted.checks)

    def run(self) -> None:
        """Bring the file to ``target``. Raises Refused, Changed, Broken, or OSError of this disk."""
        self._target.parent.mkdir(parents=True, exist_ok=True)
        self._claim()
        for last in (False, True):
            self._persist()
            if not (wrong := self._mismatch()):
                break
            self._forget()
            if last:
                raise Refused(wrong)
        self._part.replace(self._target)
        self._note.unlink(missing_ok=True)

    def _persist(self) -> None:
        """Try until the part is whole."""
        failures = 0
        while True:
            before = self._have()
            try:
                return self._attempt()
            except Broken as error:
                failures = 1 if self._have() - before >= MEANINGFUL else failures + 1
                if not error.again or failures >= self._patience.tries:
                    raise
                if self._halt.wait(max(self._patience.delay(failures), error.after)):
                    raise Broken("the fetch was stopped", again=False) from None

    def _attempt(self) -> None:
        have = self._have() if self._wanted.identity else 0
        if self._wanted.size is not None and have == self._wanted.size and self._part.exists():
            return
        with self._open(have) as body:
            self._learn(body, have)
            with self._part.open("r+b" if self._part.exists() else "wb") as file:
                file.truncate(body.start)
                file.seek(body.start)
                self._receive(body, file.write, body.start)
                file.flush()
                os.fsync(file.fileno())

    def _receive(self, body: Body, write: Callable[[bytes], int], have: int) -> None:
        size = self._wanted.size if self._wanted.size is not None else body.size
        pace = _Pace(self._patience)
        for chunk in body.chunks:
            have += len(chunk)
            if self._halt.is_set():
                raise Broken("the fetch was stopped", again=False)
            if size is not None and have > size:
                raise Changed
            if have > self._limit:
                raise Refused(f"has more than the {self._limit} bytes that are left of the limit")
            write(chunk)
            self._progress(have)
            pace.count(len(chunk))
        if size is not None and have < size:
            raise Broken(f"the connection ended after {have} of {size} bytes")

    def _learn(self, body: Body, have: int) -> None:
        """Keep what the place says of the whole file: a rest alone often comes without it."""
        resized = body.size is not None and self._wanted.size not in (None, body.size)
        if resized or body.start > have:
            raise Changed
        if new := {key: value for key, value in body.checks.items() if key not in self._checks}:
            self._checks |= new
            self._write_note()

    def _claim(self) -> None:
        """Go on with an earlier part of the same content; anything else is thrown away."""
        with suppress(OSError, ValueError, TypeError, KeyError):
            note = json.loads(self._note.read_text())
            if self._wanted.identity and note["identity"] == self._wanted.identity:
                self._checks = dict(note["checks"]) | self._checks
                return
        self._forget()

    def _forget(self) -> None:
        self._part.unlink(missing_ok=True)
        self._write_note()

    def _write_note(self) -> None:
        self._note.write_text(json.dumps({"identity": self._wanted.identity, "checks": self._checks}))

    def _have(self) -> int:
        try:
            return self._part.stat().st_size
        except FileNotFoundError:
            return 0

    def _mismatch(self) -> str:
        """What is wrong with the whole file; empty if nothing is."""
        for method, promised in self._checks.items():
            found = file_hash(self._part, method)
            if found != promised.lower():
                return f"its {method} is {found}, but {promised} was promised"
        return ""


class _Pace:
    """Notices a place that sends something, but hardly anything."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._since, self._bytes = time.monotonic(), 0

    def count(self, received: int) -> None:
        self._bytes += received
        passed = time.monotonic() - self._since
        if passed >= self._patience.stall:
            if self._bytes < passed * self._patience.slowest:
                raise Broken(f"only {self._bytes} bytes came in {passed:.0f} s")
            self._since, self._bytes = time.monotonic(), 0


def file_hash(path: Path, method: str) -> str:
    """``sha256`` or ``md5`` of a file, or the id that ``git`` gives its content; hex."""
    digest = hashlib.new("sha1" if method == "git" else method, usedforsecurity=False)
    if method == "git":
        digest.update(b"blob %d\0" % path.stat().st_size)
    with path.open("rb") as file:
        while block := file.read(1024 * 1024):
            digest.update(block)
    return digest.hexdigest()
