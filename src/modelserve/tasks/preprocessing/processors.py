"""The classes of image processors that are known, each with what it does where a key is left out.

The values are those of ``transformers.models.*.image_processing_pil_*`` (5.24). Classes of other names are
refused, for they may have rules of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from PIL import Image

from modelserve.tasks.preprocessing import geometry
from modelserve.tasks.preprocessing.geometry import Geometry
from modelserve.tasks.preprocessing.kinds import CLASS_OF_KIND, CLASSLESS
from modelserve.tasks.preprocessing.settings import Mistake, mistake, shown

CLASS_KEYS = ("image_processor_type", "feature_extractor_type")
"""Keys that name the class; the first counts, the second is how older files call it."""
_TIMM = "timm_wrapper"
"""The type of models of timm, whose config.json names none."""

_SWITCHES = frozenset({
    "do_resize", "do_center_crop", "do_rescale", "do_normalize", "do_convert_rgb", "do_pad",
})  # fmt: skip
_PARAMETERS = frozenset({
    "size", "default_to_square", "resample", "crop_size", "pad_size", "rescale_factor", "image_mean",
    "image_std",
})  # fmt: skip
_STANDARD = {"image_mean": (0.5, 0.5, 0.5), "image_std": (0.5, 0.5, 0.5)}
_IMAGENET = {"image_mean": (0.485, 0.456, 0.406), "image_std": (0.229, 0.224, 0.225)}
_CLIP = {
    "image_mean": (0.48145466, 0.4578275, 0.40821073),
    "image_std": (0.26862954, 0.26130258, 0.27577711),
}
_BILINEAR, _BICUBIC = int(Image.Resampling.BILINEAR), int(Image.Resampling.BICUBIC)
_EVERYWHERE: Mapping[str, Any] = {
    "do_resize": True, "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True,
}  # fmt: skip


@dataclass(frozen=True)
class Processor:
    """One class. ``own`` are keys that it has beyond those of all, ``idle`` switches that it ignores."""

    defaults: Mapping[str, Any]
    geometry: Geometry = geometry.plain
    own: frozenset[str] = frozenset()
    idle: frozenset[str] = frozenset()

    @property
    def known(self) -> frozenset[str]:
        """Keys whose values decide about pixels."""
        return _SWITCHES | _PARAMETERS | self.own


def named(config: Mapping[str, Any]) -> str | None:
    """The class that is named there, by its name of today; None if none is. Raises Mistake."""
    key = next((key for key in _class_keys(config) if config.get(key) is not None), None)
    if key is None:
        return None
    name = config[key]
    if isinstance(name, str) and (found := _today(name)) in PROCESSORS:
        return found
    raise mistake(
        key, name, "its rules are not known here; the guide to Hugging Face models lists the classes that are"
    )


def _class_keys(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Beside code of the model's own the older name does not count, as in transformers."""
    return CLASS_KEYS[:1] if names_code(config) else CLASS_KEYS


def names_code(config: Mapping[str, Any]) -> bool:
    """Whether a class of the model's own, whose code is not run, is to make the pixels."""
    code = config.get("auto_map")
    return isinstance(code, Mapping) and code.get("AutoImageProcessor") is not None


def of_model(model: Mapping[str, Any]) -> str | None:
    """The class that transformers takes for a model where none is named; None for types that it does not
    know. Raises Mistake for a class that is not known here, and for a type that has none.
    """
    kind = model.get("model_type", _TIMM if "pretrained_cfg" in model else None)
    name = CLASS_OF_KIND.get(kind) if isinstance(kind, str) else None
    if name in PROCESSORS:
        return name
    lacks = f"{CLASS_KEYS[0]}: is missing; model_type {shown(kind)}"
    if name is not None:
        raise Mistake(f"{lacks} needs {name}, whose rules are not known here")
    if kind in CLASSLESS:
        raise Mistake(f"{lacks} has no class of its own: name the one that is meant")
    return None


def keyed(config: Mapping[str, Any]) -> Processor:
    """Without a class: each key does what it says, and one that is left out does nothing."""
    # A lone number is the shorter side where a crop follows: so the first image processors wrote it.
    crops = config.get("do_center_crop") is True
    defaults = {
        "do_resize": config.get("size") is not None, "resample": _BILINEAR, "default_to_square": not crops,
        "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": config.get("image_mean") is not None,
    }  # fmt: skip
    if config.get("crop_pct") is not None:
        square = {"default_to_square": False}
        return Processor({**defaults, **square}, geometry.by_crop_share, own=frozenset({"crop_pct"}))
    return Processor(defaults, own=frozenset({"include_top", "rescale_offset"}))


def _today(name: str) -> str:
    """``"ViTFeatureExtractor"`` and ``"ViTImageProcessorFast"`` -> ``"ViTImageProcessor"``."""
    for ending in ("Fast", "Pil"):
        name = name.removesuffix(ending)
    return name.replace("FeatureExtractor", "ImageProcessor")


def _processor(
    size: Mapping[str, int],
    resample: int,
    colours: Mapping[str, Any],
    crop: int | None = None,
    geometry: Geometry = geometry.plain,
    idle: tuple[str, ...] = (),
    **own: Any,
) -> Processor:
    """A class that crops unless ``crop`` is None; a lone number in its ``size`` is a side as in ``size``."""
    square = {"default_to_square": "height" in size}
    defaults = {**_EVERYWHERE, **colours, **square, "size": size, "resample": resample}
    if crop is not None:
        defaults |= {"do_center_crop": True, "crop_size": crop}
    keys = frozenset(key for key in own if key not in _SWITCHES | _PARAMETERS)
    return Processor({**defaults, **own}, geometry, keys, frozenset(idle))


def _square(side: int) -> dict[str, int]:
    return {"height": side, "width": side}


def _shortest(side: int) -> dict[str, int]:
    return {"shortest_edge": side}


_NO_PAD = ("do_pad",)

PROCESSORS: Mapping[str, Processor] = {
    "BeitImageProcessor": _processor(
        _square(224), _BICUBIC, _STANDARD, idle=_NO_PAD, crop_size=224
    ),
    "BitImageProcessor": _processor(_shortest(224), _BICUBIC, _CLIP, crop=224),
    "CLIPImageProcessor": _processor(_shortest(224), _BICUBIC, _CLIP, crop=224),
    "ConvNextImageProcessor": _processor(
        _shortest(384), _BICUBIC, _STANDARD, geometry=geometry.by_crop_share, idle=_NO_PAD, crop_pct=224 / 256
    ),
    "DeiTImageProcessor": _processor(_square(256), _BICUBIC, _STANDARD, crop=224),
    "EfficientNetImageProcessor": _processor(
        _square(346), _BICUBIC, _STANDARD, idle=_NO_PAD, crop_size=289, include_top=True, rescale_offset=False
    ),
    "LevitImageProcessor": _processor(
        _shortest(224), _BICUBIC, _IMAGENET, crop=224, geometry=geometry.enlarged
    ),
    "MobileNetV1ImageProcessor": _processor(_shortest(256), _BILINEAR, _STANDARD, crop=224),
    "MobileNetV2ImageProcessor": _processor(_shortest(256), _BILINEAR, _STANDARD, crop=224, idle=_NO_PAD),
    "MobileViTImageProcessor": _processor(
        _shortest(224), _BICUBIC, _STANDARD, crop=256, idle=("do_pad", "do_normalize"),
        do_normalize=False, do_flip_channel_order=True,
    ),
    "PerceiverImageProcessor": _processor(
        _square(224), _BICUBIC, _IMAGENET, crop=256, geometry=geometry.crop_first, idle=_NO_PAD
    ),
    "PoolFormerImageProcessor": _processor(
        _shortest(224), _BICUBIC, _IMAGENET, crop=224, geometry=geometry.by_shorter_share, crop_pct=0.9,
        do_resize_and_center_crop=True,
    ),
    "PvtImageProcessor": _processor(_square(224), _BICUBIC, _IMAGENET),
    "SegformerImageProcessor": _processor(
        _square(512), _BILINEAR, _IMAGENET, geometry=geometry.resize_only, idle=("do_pad", "do_center_crop")
    ),
    "SiglipImageProcessor": _processor(_square(224), _BICUBIC, _STANDARD, default_to_square=False),
    "TextNetImageProcessor": _processor(
        _shortest(640), _BILINEAR, _IMAGENET, geometry=geometry.to_multiples, idle=_NO_PAD,
        crop_size=224, size_divisor=32,
    ),
    "ViTImageProcessor": _processor(_square(224), _BILINEAR, _STANDARD),
}  # fmt: skip
