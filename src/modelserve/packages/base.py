"""Port: model packages, one adapter per layout that the field already knows."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from modelserve.domain.models import ModelPackage, Runtime, Task


class Layout(Protocol):
    """One way to arrange the files of a model."""

    @property
    def name(self) -> str: ...

    @property
    def runtimes(self) -> frozenset[Runtime]:
        """Engines that may run what a package of this layout holds."""

    def matches(self, path: Path) -> bool:
        """Whether ``path`` looks like this layout at all; cheap, reads no weights."""

    def read(self, path: Path, task: Task | None = None, runtime: Runtime | None = None) -> ModelPackage:
        """Read and check the package, for ``runtime`` (one of ``runtimes``) where the spec asks for one.

        Raises InvalidPackage that names the file and what is wrong with it.
        """
