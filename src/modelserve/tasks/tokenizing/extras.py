"""Special tokens that stand for something in a text, such as a user's name or a link.

A model was trained with them as words of its texts. Those that separate, pad and mask are none: they stay
text, for else a client could put them into the model's input.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tokenizers import Tokenizer

from modelserve.errors import InvalidPackage
from modelserve.tasks.tokenizing.files import CONFIG, SPECIAL_TOKENS, TOKENIZER, Config, Files

_LISTS = ("additional_special_tokens", "extra_special_tokens")
_ROLES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")


def with_extras(tokenizer: Tokenizer, files: Files) -> Tokenizer:
    """The tokenizer that takes the extra special tokens which its files list for tokens of a text.

    Raises InvalidPackage for one that it does not know, or for which the model has no embedding.
    """
    roles = {content for key in _ROLES for content in _contents(files, key)}
    extras = [(key, each) for key in _LISTS for each in _contents(files, key) if each not in roles]
    if not extras:
        return tokenizer
    state = json.loads(tokenizer.to_str())
    known = {added["content"]: added for added in state["added_tokens"]}
    for key, content in extras:
        at = tokenizer.token_to_id(content)
        _check(key, content, at, files.model.get("vocab_size"))
        if content not in known:
            known[content] = _plain(at, content)
            state["added_tokens"].append(known[content])
        known[content]["special"] = False
    return Tokenizer.from_str(json.dumps(state))


def _check(key: str, content: str, at: int | None, size: Any) -> None:
    if at is None:
        raise InvalidPackage(
            f"{CONFIG}: {key}: {content!r} is not in {TOKENIZER}; save both with `save_pretrained`"
        )
    if type(size) is int and at >= size:
        raise InvalidPackage(
            f"config.json: vocab_size: {size} leaves no embedding for {content!r} of {key}, which has the id "
            f"{at}; resize the model's embeddings, or save the tokenizer that it was trained with"
        )


def _plain(at: int | None, content: str) -> dict[str, Any]:
    switches = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": at, "content": content, **switches}


def _contents(files: Files, key: str) -> Iterator[str]:
    """The tokens under this key, of which each is a text or an object with a ``content``."""
    for name, config in ((CONFIG, files.config), (SPECIAL_TOKENS, files.special)):
        for said in _values(config, key):
            content = said.get("content") if isinstance(said, dict) else said
            if not isinstance(content, str):
                raise InvalidPackage(f"{name}: {key}: {said!r}; a token is wanted")
            if content:
                yield content


def _values(config: Config, key: str) -> list[Any]:
    said = config.get(key)
    if isinstance(said, dict) and "content" not in said:  # tokens by names of their own
        said = list(said.values())
    if said is None or isinstance(said, list):
        return said or []
    return [said]
