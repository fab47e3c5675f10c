"""Who met which arm, from the front door's log of exposures.

The log is read from its beginning after a restart: a participant that is known already is not counted again,
so nothing has to be remembered about how far it was read.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO, TypeVar

from modelserve.domain.experiments import ExperimentState
from modelserve.domain.participants import Exposure

AT_ONCE = 1024 * 1024
"""Bytes of the log that one look takes: some 5,000 requests."""
REMEMBERED = 100_000
"""Participants, and requests, that are kept in mind."""

K = TypeVar("K")
V = TypeVar("V")


def anonymous(experiment: str, key: str) -> str:
    """What stands for a key in the records: 24 hexadecimal digits, others in each experiment."""
    return blake2b(f"{experiment}/{key}".encode(), digest_size=12).hexdigest()


class Remembered:
    """What was seen lately, so that the store is not told, or asked, again; it may forget all of it."""

    def __init__(self, most: int = REMEMBERED) -> None:
        self._most = most
        self._met: OrderedDict[tuple[str, str, str], None] = OrderedDict()
        self._askers: OrderedDict[tuple[str, str], str] = OrderedDict()

    def note(self, experiment: str, exposure: Exposure) -> bool:
        """Whether this participant was not seen with this arm lately."""
        who = (experiment, exposure.key, exposure.arm)
        is_new = who not in self._met
        self._put(self._met, who, None)
        self._put(self._askers, (experiment, exposure.request), exposure.key)
        return is_new

    def forget(self, experiment: str, exposures: Iterable[Exposure]) -> None:
        """They could not be written down: the next time they count as new."""
        for exposure in exposures:
            self._met.pop((experiment, exposure.key, exposure.arm), None)

    def forget_all(self, experiment: str) -> None:
        """It is deleted: who met it counts as new for one that gets its name later."""
        for who in [who for who in self._met if who[0] == experiment]:
            del self._met[who]
        for request in [request for request in self._askers if request[0] == experiment]:
            del self._askers[request]

    def who_asked(self, experiment: str, request: str) -> str | None:
        """The participant behind one of the latest requests."""
        return self._askers.get((experiment, request))

    def _put(self, memory: OrderedDict[K, V], key: K, value: V) -> None:
        memory[key] = value
        memory.move_to_end(key)
        if len(memory) > self._most:
            memory.popitem(last=False)


class Tail:
    """Whole lines of a file that grows, and that is set aside as ``NAME.log.1`` when it has grown long."""

    def __init__(self, path: Path) -> None:
        self.remembered = Remembered()
        self.lock = asyncio.Lock()
        """Held from reading lines to having written down what they say."""
        self._path = path
        self._file: BinaryIO | None = None
        self._start = 0

    def lines(self) -> list[bytes]:
        """What came since the last look, at most ``AT_ONCE`` bytes of it. Raises OSError."""
        if self._file is None:
            aside = self._path.with_suffix(".log.1")
            self._file = _open(aside) or _open(self._path)
        if self._file is None:
            return []
        self._start = self._file.tell()
        found = _whole_lines(self._file)
        if not found and (newer := _open(self._path)) is not None:
            self._follow(self._file, newer)
        return found

    def take_back(self) -> None:
        """The last lines could not be written down: they come again."""
        if self._file is not None:
            self._file.seek(self._start)

    def _follow(self, old: BinaryIO, new: BinaryIO) -> None:
        """Go on with the file that stands at the path now, if it is another."""
        moved = _inode(old) != _inode(new)
        (old if moved else new).close()
        self._file = new if moved else old


def exposures(
    lines: Iterable[bytes], experiments: Mapping[str, ExperimentState]
) -> Iterator[tuple[str, Exposure]]:
    """(experiment, exposure) of each line about one of ``experiments``; damaged lines are passed over."""
    for line in lines:
        try:
            said = json.loads(line)
            state = experiments.get(said["experiment"])
            at = float(said["at"])
            if state is None or state.started is None or at < state.started:
                continue
            key = anonymous(state.name, said["key"])
            yield state.name, Exposure(key, said["arm"], at, said["request_id"], said["weights"])
        except (ValueError, KeyError, TypeError, AttributeError):
            continue


def _open(path: Path) -> BinaryIO | None:
    try:
        return path.open("rb")
    except FileNotFoundError:
        return None


def _inode(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_ino


def _whole_lines(file: BinaryIO) -> list[bytes]:
    start = file.tell()
    data = file.read(AT_ONCE)
    end = data.rfind(b"\n") + 1
    file.seek(start + end)
    return data[:end].splitlines()
