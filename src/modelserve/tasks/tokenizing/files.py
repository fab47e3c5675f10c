"""The files of a tokenizer, and the values in them: each has the type that is wanted, or is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from tokenizers import Tokenizer

from modelserve.domain.models import ModelPackage
from modelserve.errors import InvalidPackage

TOKENIZER = "tokenizer.json"
CONFIG = "tokenizer_config.json"
MODEL_CONFIG = "config.json"
SPECIAL_TOKENS = "special_tokens_map.json"
ADDED_TOKENS = "added_tokens.json"

Config = Mapping[str, Any]
State = dict[str, Any]
"""A part of tokenizer.json, such as its normalizer."""


class Files(NamedTuple):
    """What was read, tokenizer.json as it is written today; a file that isn't there is an empty object."""

    tokenizer: Config
    config: Config
    model: Config
    special: Config
    added: Config


def read_files(package: ModelPackage, tokenizer: Tokenizer) -> Files:
    """Raises InvalidPackage for a file that holds something else than a JSON object."""
    names = (CONFIG, MODEL_CONFIG, SPECIAL_TOKENS, ADDED_TOKENS)
    return Files(json.loads(tokenizer.to_str()), *(_read(package, name) for name in names))


def _read(package: ModelPackage, name: str) -> Config:
    path = package.path / name
    if not path.is_file() or not path.resolve().is_relative_to(package.path.resolve()):
        return {}
    try:
        found = json.loads(path.read_text("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise InvalidPackage(f"{name}: not usable JSON: {error}") from error
    if not isinstance(found, dict):
        raise InvalidPackage(f"{name}: holds a JSON {type(found).__name__}; an object {{...}} is wanted")
    return found


def flag(config: Config, key: str, default: bool, null: bool | None = None) -> bool:
    """A switch; ``null`` is what a null stands for, where it stands for anything."""
    value = config.get(key, default)
    if value is None and null is not None:
        return null
    if isinstance(value, bool):
        return value
    raise InvalidPackage(f"{CONFIG}: {key}: {value!r}; true or false is wanted")


def flag_or_none(config: Config, key: str) -> bool | None:
    """A switch that may be left to others."""
    return None if config.get(key) is None else flag(config, key, False)


def number(config: Config, key: str, default: int) -> int:
    """A whole number."""
    value = config.get(key, default)
    if type(value) is not int:
        raise InvalidPackage(f"{CONFIG}: {key}: {value!r}; a whole number is wanted")
    return value


def token(files: Files, key: str, default: str) -> str:
    """A token that the configuration names, such as ``cls_token``."""
    said, file = files.config, CONFIG
    if "added_tokens_decoder" not in said and key in files.special:
        said, file = files.special, SPECIAL_TOKENS
    value = said.get(key, default)
    content = value.get("content") if isinstance(value, dict) else value
    if isinstance(content, str):
        return content
    raise InvalidPackage(f"{file}: {key}: {value!r}; a token is wanted")
