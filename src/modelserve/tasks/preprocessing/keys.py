"""Which keys may stand in a configuration: those that are followed, and those that no pixel depends on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelserve.tasks.preprocessing.processors import CLASS_KEYS, Processor
from modelserve.tasks.preprocessing.settings import Settings, mistake

NOTES = frozenset({
    *CLASS_KEYS, "processor_class", "transformers_version", "_valid_processor_keys", "_valid_kwargs_names",
    "_name_or_path", "_commit_hash", "use_fast", "device", "disable_grouping", "return_tensors",
    "image_seq_length", "model_input_names", "do_reduce_labels", "reduce_labels",
})  # fmt: skip
"""Keys that no pixel depends on: who wrote the file, how batches are grouped, maps of labels."""
_LAYOUTS = {"data_format": ("channels_first",), "input_data_format": ("channels_first", "channels_last")}
"""How arrays lie. Clients send encoded images: how an array that comes in would lie does not matter."""

_CODE = frozenset({"AutoImageProcessor", "AutoFeatureExtractor"})
OWN_CODE = "code of the model's own is not run; name a class in image_processor_type"


def check_keys(config: Mapping[str, Any], name: str | None, processor: Processor, channels: int) -> None:
    """Raise Mistake for a key that would change pixels and is not followed. One that is null says nothing."""
    for key, value in config.items():
        if value is not None and key not in NOTES:
            _check(key, value, name, processor)
    if Settings(config, {}).on("do_convert_rgb") and channels == 1:
        raise mistake("do_convert_rgb", True, "the model takes one channel, which is grey; leave it out")


def _check(key: str, value: Any, name: str | None, processor: Processor) -> None:
    if key in _LAYOUTS:
        _check_layout(key, value)
    elif key == "auto_map":
        _check_code(name, value)
    elif key in processor.idle and value is not False:
        raise mistake(key, value, f"{name} does not do that; remove it, or name the class that is meant")
    elif key not in processor.known and not _is_off(key, value):
        who = f"in {name}" if name else "without a class in image_processor_type"
        raise mistake(key, value, f"the key is not known {who}; remove it if no pixel depends on it")


def _is_off(key: str, value: Any) -> bool:
    """A switch of another class that is off."""
    return value is False and (key.startswith("do_") or key in ("include_top", "rescale_offset"))


def _check_layout(key: str, value: Any) -> None:
    if value not in _LAYOUTS[key]:
        raise mistake(key, value, f"{' or '.join(_LAYOUTS[key])} is wanted")


def _check_code(name: str | None, value: Any) -> None:
    """A class of Hugging Face's own is used in place of the code, as it is where code is not trusted."""
    if name is None and not _CODE.isdisjoint(value if isinstance(value, Mapping) else _CODE):
        raise mistake("auto_map", value, OWN_CODE)
