"""The tokenizer of a package: tokenizer.json, and what the files beside it say of it.

Where they differ, the configuration is heeded as transformers' AutoTokenizer heeds it (5.24), because models
are trained through that. What would change tokens and can't be done here is refused by name.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from tokenizers import Tokenizer

from modelserve.domain.models import ModelPackage
from modelserve.errors import InvalidPackage
from modelserve.tasks.tokenizing.added import check_added, check_ends, check_normalized
from modelserve.tasks.tokenizing.classes import class_of
from modelserve.tasks.tokenizing.extras import with_extras
from modelserve.tasks.tokenizing.files import CONFIG, TOKENIZER, Config, read_files
from modelserve.tasks.tokenizing.following import follow, is_remade
from modelserve.tasks.tokenizing.parts import is_the_librarys
from modelserve.tasks.words import has_own_words


class Tokenization(NamedTuple):
    """A tokenizer, whether the types of its tokens are for the model, and what fills a row up."""

    tokenizer: Tokenizer
    types: bool
    pad: int


def load_tokenizer(package: ModelPackage) -> Tokenization:
    """Raises InvalidPackage for a file that can't be used, or a configuration that can't be followed."""
    tokenizer = _read(package)
    if tokenizer.pre_tokenizer is None and has_own_words(tokenizer):
        raise InvalidPackage(f"{TOKENIZER}: has no pre_tokenizer, so words can't be told apart; export one")
    tokenizer.no_truncation()  # what is too long is refused, not cut
    tokenizer.no_padding()
    files = read_files(package, tokenizer)
    _check_code(files.config)
    named = class_of(files)
    tokenizer = follow(tokenizer, files, named)
    check_added(tokenizer, files, is_remade(named))
    tokenizer = with_extras(tokenizer, files)
    check_normalized(tokenizer)
    check_ends(tokenizer, files)
    _make_steady(tokenizer)
    pad = files.model.get("pad_token_id")
    return Tokenization(tokenizer, _has_types(files.config), pad if type(pad) is int and pad >= 0 else 0)


def _read(package: ModelPackage) -> Tokenizer:
    try:
        return Tokenizer.from_file(str(package.path / TOKENIZER))
    except BaseException as error:
        if not is_the_librarys(error):
            raise
        raise InvalidPackage(f"{TOKENIZER}: the tokenizers library refuses it: {error}") from error


def _has_types(config: Config) -> bool:
    names = config.get("model_input_names")
    if names is not None and not isinstance(names, list):
        raise InvalidPackage(f"{CONFIG}: model_input_names: {names!r}; a list of names is wanted")
    return names is None or "token_type_ids" in names


def _check_code(config: Config) -> None:
    mapped = config.get("auto_map")
    if mapped.get("AutoTokenizer") if isinstance(mapped, dict) else mapped:
        raise InvalidPackage(
            f"{CONFIG}: auto_map: {mapped!r} asks for code of its own, which is not run; save the tokenizer "
            f"as a plain {TOKENIZER}, or serve it as `task: tensor`"
        )


def _make_steady(tokenizer: Tokenizer) -> None:
    """The same tokens each time, and none that a client asks for."""
    tokenizer.encode_special_tokens = True  # "[SEP]" in a text is five characters
    model: Any = tokenizer.model
    if getattr(model, "dropout", None):  # leaves merges out at random: for training alone
        model.dropout = None
