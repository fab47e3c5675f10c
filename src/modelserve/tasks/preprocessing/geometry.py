"""The ways in which the classes of image processors resize and crop."""

from __future__ import annotations

from collections.abc import Callable

from modelserve.tasks.preprocessing.settings import Settings, mistake
from modelserve.tasks.preprocessing.sizes import Exactly, ShortestEdge, Target, exact, shortest_edge, target
from modelserve.tasks.preprocessing.steps import CenterCrop, Resize, ShareCrop, Step

Geometry = Callable[[Settings, int], list[Step]]
"""From settings and the most pixels of a resized image to steps. Raises Mistake."""

_OLD_SWITCH = "do_resize_and_center_crop"
"""Of the first PoolFormer files, where it is always on; transformers does not read it any more."""
_SMALL_EDGE = 384
"""Pixels below which ConvNeXT resizes by ``crop_pct``, then crops; else it resizes."""


def plain(settings: Settings, max_pixels: int) -> list[Step]:
    """Resize as ``size`` says, then crop."""
    return _resized(settings, max_pixels, target) + _cropped(settings)


def resize_only(settings: Settings, max_pixels: int) -> list[Step]:
    """Segformer's: no crop."""
    return _resized(settings, max_pixels, target)


def by_crop_share(settings: Settings, max_pixels: int) -> list[Step]:
    """ConvNeXT's, which ResNet shares: resize a little larger, then crop to the size."""
    if not settings.on("do_resize"):
        return _cropped(settings)
    edge = shortest_edge(settings)
    if edge >= _SMALL_EDGE:
        return [Resize(Exactly((edge, edge)), settings.resample(), max_pixels), *_cropped(settings)]
    larger = Resize(ShortestEdge(int(edge / settings.share("crop_pct"))), settings.resample(), max_pixels)
    return [larger, CenterCrop((edge, edge)), *_cropped(settings)]


def enlarged(settings: Settings, max_pixels: int) -> list[Step]:
    """LeViT's: 256 pixels for each 224 of the shorter side, then crop."""

    def larger(settings: Settings) -> Target:
        found = target(settings)
        if isinstance(found, ShortestEdge):
            return ShortestEdge(int(256 / 224 * found.edge))
        return Exactly(exact(settings, "size"))

    return _resized(settings, max_pixels, larger) + _cropped(settings)


def by_shorter_share(settings: Settings, max_pixels: int) -> list[Step]:
    """PoolFormer's: larger by ``crop_pct``, in proportion where ``size`` is square, then crop."""
    if not settings.on(_OLD_SWITCH):
        raise mistake(_OLD_SWITCH, False, "set do_resize and do_center_crop to false in its place")
    if settings.get("crop_pct") is None:
        return plain(settings, max_pixels)

    def larger(settings: Settings) -> Target:
        share, found = settings.share("crop_pct"), target(settings)
        if isinstance(found, ShortestEdge):
            return ShortestEdge(int(found.edge / share))
        height, width = exact(settings, "size")
        if height == width:
            return ShortestEdge(int(height / share))
        return Exactly((int(height / share), int(width / share)))

    return _resized(settings, max_pixels, larger) + _cropped(settings)


def to_multiples(settings: Settings, max_pixels: int) -> list[Step]:
    """TextNet's: the shorter side, then both sides up to multiples of ``size_divisor``."""

    def rounded(settings: Settings) -> Target:
        return ShortestEdge(shortest_edge(settings), settings.count("size_divisor"))

    return _resized(settings, max_pixels, rounded) + _cropped(settings)


def crop_first(settings: Settings, max_pixels: int) -> list[Step]:
    """Perceiver's: crop to the share of the image that ``size`` is of ``crop_size``, then resize."""
    if not settings.on("do_center_crop"):
        return _resized(settings, max_pixels, target)
    size, crop = exact(settings, "size"), exact(settings, "crop_size")
    return [ShareCrop(size[0] / crop[0], size[1] / crop[1]), *_resized(settings, max_pixels, target)]


def _resized(settings: Settings, max_pixels: int, to: Callable[[Settings], Target]) -> list[Step]:
    if not settings.on("do_resize"):
        return []
    return [Resize(to(settings), settings.resample(), max_pixels)]


def _cropped(settings: Settings) -> list[Step]:
    return [CenterCrop(exact(settings, "crop_size"))] if settings.on("do_center_crop") else []
