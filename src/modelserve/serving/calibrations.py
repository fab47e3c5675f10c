"""What was found out about models on this machine, in a folder: one small file for each finding.

A file that can't be read, is broken or is about something else is no finding; a folder that can't be written
to remembers nothing.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from modelserve._kit.files import write_atomically
from modelserve._kit.machine import cpu_model, usable_cores
from modelserve.batching.plans import Crew, Plan
from modelserve.settings import ServerSettings


@dataclass(frozen=True, slots=True)
class Circumstances:
    """All that decides how fast a model runs, and what was left open."""

    digest: str
    engine: str
    processor: str
    cores: int
    threads: int
    cores_per_run: int
    max_batch: int | None

    @classmethod
    def of(cls, digest: str, engine: str, settings: ServerSettings) -> Circumstances:
        open_ends = (settings.threads, settings.cores_per_run, settings.max_batch)
        return cls(digest, engine, cpu_model(), usable_cores(), *open_ends)


@dataclass(frozen=True, slots=True)
class _Finding:
    circumstances: Circumstances
    workers: int
    cores: int
    max_batch: int

    def __post_init__(self) -> None:
        if min(self.workers, self.cores, self.max_batch) < 1:
            raise ValueError("workers, cores and max_batch are at least 1")


_FINDINGS = TypeAdapter(_Finding)
_CIRCUMSTANCES = TypeAdapter(Circumstances)


class Calibrations:
    """``folder`` None: nothing is remembered."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def find(self, circumstances: Circumstances) -> Plan | None:
        """What was found in just these circumstances, None if nothing was."""
        if (path := self._path(circumstances)) is None:
            return None
        try:
            found = _FINDINGS.validate_json(path.read_bytes())
        except (OSError, ValidationError):
            return None
        if found.circumstances != circumstances:
            return None
        return Plan(Crew(found.workers, found.cores), found.max_batch)

    def keep(self, circumstances: Circumstances, plan: Plan) -> bool:
        """Remember a plan; whether that worked."""
        if (path := self._path(circumstances)) is None:
            return False
        finding = _Finding(circumstances, plan.crew.workers, plan.crew.cores, plan.max_batch)
        try:
            write_atomically(path, _FINDINGS.dump_json(finding))
        except OSError:
            return False
        return True

    def _path(self, circumstances: Circumstances) -> Path | None:
        if self._folder is None:
            return None
        name = hashlib.sha256(_CIRCUMSTANCES.dump_json(circumstances)).hexdigest()
        return self._folder / f"{name}.json"
