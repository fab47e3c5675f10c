"""A discovery file: a list of named Envoy resources under a version that follows from their content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Resource = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Discovery:
    """What one file of Envoy's file-based xDS holds. Equal resources give equal text and equal version."""

    resources: tuple[Resource, ...]

    @property
    def version(self) -> str:
        """The first 16 hexadecimal digits of the sha256 over the resources."""
        canonical = json.dumps(self.resources, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    @property
    def text(self) -> str:
        """The DiscoveryResponse as JSON, ending in a newline."""
        response = {"version_info": self.version, "resources": self.resources}
        return json.dumps(response, indent=1) + "\n"

    @classmethod
    def parse(cls, text: str) -> Discovery:
        """The inverse of ``text``. Raises ValueError for anything else."""
        try:
            return cls(tuple(json.loads(text)["resources"]))
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a discovery file: {error!r} is missing or wrong") from error

    @property
    def names(self) -> frozenset[str]:
        return frozenset(resource["name"] for resource in self.resources)

    def covers(self, other: Discovery) -> bool:
        """Whether every resource of ``other`` is here with exactly the same content."""
        mine = {resource["name"]: resource for resource in self.resources}
        return all(mine.get(resource["name"]) == resource for resource in other.resources)

    def over(self, earlier: Discovery) -> Discovery:
        """These resources, and after them those of ``earlier`` whose names are not taken here."""
        return Discovery(self.resources + _without(earlier.resources, self.names))


def _without(resources: Iterable[Resource], names: frozenset[str]) -> tuple[Resource, ...]:
    return tuple(resource for resource in resources if resource["name"] not in names)
