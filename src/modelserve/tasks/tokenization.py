"""The tokenizer of a package: tokenizer.json, and what tokenizer_config.json says beside it.

Where the two differ, the configuration is heeded as transformers' AutoTokenizer heeds it (5.24), because
models are trained through that: BERT's switches and ``add_prefix_space`` change the tokenizer, unless its
class is the general one. What would change tokens and can't be done here is refused by name.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from tokenizers import Tokenizer

from modelserve.domain.models import ModelPackage
from modelserve.errors import InvalidPackage
from modelserve.tasks.words import has_own_words

TOKENIZER = "tokenizer.json"
CONFIG = "tokenizer_config.json"
MODEL_CONFIG = "config.json"

Config = Mapping[str, Any]
State = dict[str, Any]

_GENERAL = ("PreTrainedTokenizer", "TokenizersBackend")
"""Classes that take tokenizer.json as it is."""
_OTHER_RULES = frozenset(
    (
        "BartphoTokenizer", "BertJapaneseTokenizer", "BertweetTokenizer", "BioGptTokenizer", "ByT5Tokenizer",
        "CanineTokenizer", "CpmTokenizer", "EsmTokenizer", "FlaubertTokenizer", "PhobertTokenizer",
        "RoCBertTokenizer", "RoFormerTokenizer", "TapasTokenizer", "XLMTokenizer",
    )
)  # fmt: skip
"""Classes that part texts by code of their own, which tokenizer.json can't hold."""
_BERT = {
    "do_lower_case": "lowercase",
    "strip_accents": "strip_accents",
    "tokenize_chinese_chars": "handle_chinese_chars",
}
_MADE: dict[str, tuple[tuple[str, ...], Callable[[Tokenizer], bool]]] = {
    "do_lower_case": (
        ("Albert", "DebertaV2", "FNet", "RemBert", "XLNet"),
        lambda tokenizer: _normal(tokenizer, "A") == "a",
    ),
    "keep_accents": (("Albert",), lambda tokenizer: _normal(tokenizer, "\u00e9") != "e"),
    "split_by_punct": (("DebertaV2",), lambda tokenizer: len(_parted(tokenizer, "a.a")) > 1),
}
"""Switches that must be what tokenizer.json does: the classes that heed them, and how to see it."""


class Tokenization(NamedTuple):
    """A tokenizer, whether the types of its tokens are for the model, and what fills a row up."""

    tokenizer: Tokenizer
    types: bool
    pad: int


def load_tokenizer(package: ModelPackage) -> Tokenization:
    """Raises InvalidPackage for a file that can't be used, or a configuration that can't be followed."""
    path = package.path / TOKENIZER
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises Exception itself
        raise InvalidPackage(f"{TOKENIZER}: the tokenizers library refuses it: {error}") from error
    if tokenizer.pre_tokenizer is None and has_own_words(tokenizer):
        raise InvalidPackage(f"{TOKENIZER}: has no pre_tokenizer, so words can't be told apart; export one")
    config, model = _read(package, CONFIG), _read(package, MODEL_CONFIG)
    name = _class(config, CONFIG) or _class(model, MODEL_CONFIG)
    _follow(tokenizer, config, name)
    _steady(tokenizer)
    names = config.get("model_input_names")
    pad = model.get("pad_token_id")
    return Tokenization(
        tokenizer, names is None or "token_type_ids" in names, pad if type(pad) is int and pad >= 0 else 0
    )


def _read(package: ModelPackage, name: str) -> Config:
    """A configuration; an empty one if there is no such file in the package."""
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


def _steady(tokenizer: Tokenizer) -> None:
    """Whole texts, and the same tokens each time."""
    tokenizer.no_truncation()  # what is too long is refused, not cut
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = True  # "[SEP]" in a text is five characters
    model: Any = tokenizer.model
    if getattr(model, "dropout", None):  # leaves merges out at random: for training alone
        model.dropout = None


def _class(config: Config, file: str) -> str:
    """The class of the tokenizer by this file; an empty text where it names none."""
    name = str(config.get("tokenizer_class") or "").removesuffix("Fast")
    if name in _OTHER_RULES:
        raise InvalidPackage(
            f"{file}: tokenizer_class: {name!r} parts texts by code of its own, so {TOKENIZER} makes other "
            f"tokens; serve it as `task: tensor`, or in a package with code"
        )
    return name


def _follow(tokenizer: Tokenizer, config: Config, name: str) -> None:
    if _own_code(config):
        raise InvalidPackage(
            f"{CONFIG}: auto_map: {config['auto_map']!r} asks for code of its own, which is not run; save "
            f"the tokenizer as a plain {TOKENIZER}, or serve it as `task: tensor`"
        )
    if name not in _GENERAL:
        _follow_bert(tokenizer, config)
        _follow_prefix(tokenizer, config, "first" if name == "DebertaV2Tokenizer" else "never")
        _check_made(tokenizer, config, name)
    _check_added(tokenizer, config)
    _check_ends(tokenizer, config)


def _own_code(config: Config) -> bool:
    mapped = config.get("auto_map")
    return bool(mapped.get("AutoTokenizer") if isinstance(mapped, dict) else mapped)


def _follow_bert(tokenizer: Tokenizer, config: Config) -> None:
    given = {_BERT[key]: _switch(config, key) for key in _BERT if key in config}
    changed = _changed(tokenizer.normalizer, "BertNormalizer", lambda part: given)
    if changed is not None:
        tokenizer.normalizer = _part("normalizer", changed)


def _follow_prefix(tokenizer: Tokenizer, config: Config, off: str) -> None:
    """``add_prefix_space``: whether the first word gets a space before it, as all others have one.

    ``off``: what SentencePiece does where it is false.
    """
    if "add_prefix_space" not in config:
        return
    wanted = bool(_switch(config, "add_prefix_space"))
    splitter: Any = tokenizer.pre_tokenizer
    bytes_of = _changed(splitter, "ByteLevel", lambda part: {"add_prefix_space": wanted})
    changed = bytes_of or _changed(splitter, "Metaspace", lambda part: _scheme(part, wanted, off))
    if changed is not None:
        tokenizer.pre_tokenizer = _part("pre_tokenizer", changed)


def _scheme(part: State, wanted: bool, off: str) -> State:
    if not wanted:
        return {"prepend_scheme": off}
    return {"prepend_scheme": "always"} if part.get("prepend_scheme") == "never" else {}


def _switch(config: Config, key: str) -> bool | None:
    value = config[key]
    if value is None or isinstance(value, bool):
        return value
    raise InvalidPackage(f"{CONFIG}: {key}: {value!r}; true or false is wanted")


def _changed(component: Any, kind: str, change: Callable[[State], State]) -> State | None:
    """The state of a component with its part of this kind changed; None where nothing changes."""
    if component is None:
        return None
    state: State = json.loads(component.__getstate__())
    parts = state.get("normalizers") or state.get("pretokenizers") or [state]
    for part in parts:
        if part.get("type") == kind and (more := change(part)).items() - part.items():
            part.update(more)
            return state
    return None


def _part(key: str, state: State) -> Any:
    """A component from its state, by way of a tokenizer that has little else."""
    model = {"type": "WordLevel", "vocab": {"": 0}, "unk_token": ""}
    whole = {"version": "1.0", "added_tokens": [], "model": model, key: state}
    return getattr(Tokenizer.from_str(json.dumps(whole)), key)


def _check_made(tokenizer: Tokenizer, config: Config, name: str) -> None:
    for key, (classes, made) in _MADE.items():
        if not name.startswith(classes) or config.get(key) is None:
            continue
        if made(tokenizer) is not _switch(config, key):
            raise InvalidPackage(
                f"{CONFIG}: {key}: {config[key]!r}, but {TOKENIZER} does otherwise; save both with "
                f"`save_pretrained`"
            )


def _normal(tokenizer: Tokenizer, text: str) -> str:
    return text if tokenizer.normalizer is None else tokenizer.normalizer.normalize_str(text).strip()


def _parted(tokenizer: Tokenizer, text: str) -> list[Any]:
    splitter = tokenizer.pre_tokenizer
    return [] if splitter is None else splitter.pre_tokenize_str(text)


def _check_added(tokenizer: Tokenizer, config: Config) -> None:
    """Added tokens must be the same in both files; special ones are in no text."""
    added = config.get("added_tokens_decoder")
    for number, token in (added if isinstance(added, dict) else {}).items():
        content = token.get("content") if isinstance(token, dict) else token
        special = isinstance(token, dict) and token.get("special", False)
        if not special and str(tokenizer.token_to_id(str(content))) != number:
            raise InvalidPackage(
                f"{CONFIG}: added_tokens_decoder: {number!r}: {content!r} is not that in {TOKENIZER}; save "
                f"both with `save_pretrained`"
            )


def _check_ends(tokenizer: Tokenizer, config: Config) -> None:
    """``add_bos_token`` and ``add_eos_token`` must be what the post-processor does."""
    tokens = tokenizer.encode("a").tokens
    for switch, key, at in (("add_bos_token", "bos_token", 0), ("add_eos_token", "eos_token", -1)):
        token = config.get(key)
        content = token.get("content") if isinstance(token, dict) else token
        if config.get(switch) is None or not isinstance(content, str) or not tokens:
            continue
        if (tokens[at] == content) is not _switch(config, switch):
            raise InvalidPackage(
                f"{CONFIG}: {switch}: {config[switch]!r}, but the post_processor of {TOKENIZER} "
                f"{'adds' if tokens[at] == content else 'does not add'} {content!r}; save both with "
                f"`save_pretrained`"
            )
