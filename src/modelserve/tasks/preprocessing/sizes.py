"""The forms of ``size``: the height and width that an image is resized to.

The arithmetic is that of ``get_resize_output_image_size``, ``get_size_with_aspect_ratio`` and
``get_image_size_for_max_height_width`` in transformers, rounding included. No side gets less than one pixel.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from modelserve.tasks.preprocessing.settings import Settings, count, mistake

Size = tuple[int, int]
"""Height and width."""


class Target(Protocol):
    """``fixed`` is the size that every image gets, None where it depends on the image."""

    @property
    def fixed(self) -> Size | None: ...

    def of(self, height: int, width: int) -> Size:
        """What an image of this size is resized to."""


@dataclass(frozen=True)
class Exactly:
    """This size, whatever the proportions."""

    size: Size

    @property
    def fixed(self) -> Size:
        return self.size

    def of(self, height: int, width: int) -> Size:
        return self.size


class _InProportion:
    @property
    def fixed(self) -> None:
        return None


@dataclass(frozen=True)
class ShortestEdge(_InProportion):
    """In proportion until the shorter side has ``edge`` pixels; then up to multiples of ``divisor``."""

    edge: int
    divisor: int = 1

    def of(self, height: int, width: int) -> Size:
        other = int(self.edge * max(height, width) / min(height, width))
        size = (self.edge, other) if width >= height else (other, self.edge)
        return self._up(size[0]), self._up(size[1])

    def _up(self, side: int) -> int:
        return math.ceil(side / self.divisor) * self.divisor


@dataclass(frozen=True)
class BothEdges(_InProportion):
    """In proportion until the shorter side has ``shortest`` pixels, or sooner the longer one ``longest``."""

    shortest: int
    longest: int

    def of(self, height: int, width: int) -> Size:
        short, long = min(height, width), max(height, width)
        wanted: float = self.shortest
        if long / short * wanted > self.longest:
            wanted = self.longest * short / long
        edge = max(1, round(wanted))
        if edge == short:
            return height, width
        other = max(1, int(wanted * long / short))
        return (other, edge) if width < height else (edge, other)


@dataclass(frozen=True)
class Within(_InProportion):
    """In proportion, as large as fits into this height and width."""

    size: Size

    def of(self, height: int, width: int) -> Size:
        scale = min(self.size[0] / height, self.size[1] / width)
        return max(1, int(height * scale)), max(1, int(width * scale))


_FORMS = '{"height": 224, "width": 224} or {"shortest_edge": 224} is wanted'


def target(settings: Settings) -> Target:
    """What ``size`` says. Raises Mistake."""
    edges = _edges(settings.get("size"), settings.on("default_to_square"))
    keys = frozenset(edges)
    if keys == {"height", "width"}:
        return Exactly(_pair(edges, "height", "width"))
    if keys == {"shortest_edge"}:
        return ShortestEdge(*_counts(edges, "shortest_edge"))
    if keys == {"shortest_edge", "longest_edge"}:
        return BothEdges(*_pair(edges, "shortest_edge", "longest_edge"))
    if keys == {"max_height", "max_width"}:
        return Within(_pair(edges, "max_height", "max_width"))
    raise mistake("size", settings.get("size"), _FORMS)


def exact(settings: Settings, key: str) -> Size:
    """A height and a width. Raises Mistake."""
    value = settings.get(key)
    edges = _edges(value, square=True, key=key)
    if frozenset(edges) != {"height", "width"}:
        raise mistake(key, value, '{"height": 224, "width": 224} is wanted')
    return _pair(edges, "height", "width", key)


def shortest_edge(settings: Settings) -> int:
    """``size`` where only the shorter side may be named. Raises Mistake."""
    found = target(settings)
    if not isinstance(found, ShortestEdge):
        raise mistake("size", settings.get("size"), '{"shortest_edge": 224} is wanted')
    return found.edge


def _edges(value: Any, square: bool, key: str = "size") -> dict[str, Any]:
    """As a mapping: a lone number is the shorter side or all, a list is height and width."""
    if isinstance(value, Mapping):
        return {name: side for name, side in value.items() if side is not None}
    if isinstance(value, list) and len(value) == 2:
        return {"height": value[0], "width": value[1]}
    if isinstance(value, int):
        side = count(key, value)
        return {"height": side, "width": side} if square else {"shortest_edge": side}
    return {}


def _pair(edges: Mapping[str, Any], one: str, other: str, key: str = "size") -> Size:
    first, second = _counts(edges, one, other, key=key)
    return first, second


def _counts(edges: Mapping[str, Any], *names: str, key: str = "size") -> list[int]:
    return [count(f"{key}.{name}", edges[name]) for name in names]
