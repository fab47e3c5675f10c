"""Tokens that were added to a vocabulary, and ends: what several files say of them must be the same."""

from __future__ import annotations

from typing import Any

from tokenizers import AddedToken, Tokenizer

from modelserve.errors import InvalidPackage
from modelserve.tasks.tokenizing.files import ADDED_TOKENS, CONFIG, TOKENIZER, Files, flag
from modelserve.tasks.tokenizing.parts import of_short_text

_FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")
_SAVE = "save both with `save_pretrained`"


def check_added(tokenizer: Tokenizer, files: Files, remade: bool) -> None:
    """Raises InvalidPackage for a token that the files disagree on; special ones are in no text.

    ``remade``: the class makes the tokenizer anew, and adds no other tokens than its configuration lists.
    """
    ours = {token.content: (place, token) for place, token in tokenizer.get_added_tokens_decoder().items()}
    if "added_tokens_decoder" not in files.config:
        _check_file(tokenizer, files, ours)
        return
    listed = files.config["added_tokens_decoder"]
    if not isinstance(listed, dict):
        raise InvalidPackage(f"{CONFIG}: added_tokens_decoder: {listed!r}; an object {{...}} is wanted")
    theirs = {place: _token(place, said) for place, said in listed.items()}
    for place, token in theirs.items():
        _check_token(place, token, ours)
    known = {token.content for token in theirs.values()}
    for content, (place, token) in ours.items() if remade else ():
        if not token.special and content not in known:
            raise InvalidPackage(
                f"{TOKENIZER}: added_tokens: {content!r} ({place}) is not in added_tokens_decoder of "
                f"{CONFIG}; {_SAVE}"
            )


def _token(place: str, said: Any) -> AddedToken:
    try:
        return AddedToken(**said)
    except TypeError as error:
        raise InvalidPackage(
            f"{CONFIG}: added_tokens_decoder: {place!r}: {said!r} is no token with flags; {_SAVE}"
        ) from error


def _check_token(place: str, token: AddedToken, ours: dict[str, tuple[int, AddedToken]]) -> None:
    at, known = ours.get(token.content, (None, None))
    if token.special and (known is None or known.special):
        return
    if known is None or str(at) != place:
        raise InvalidPackage(
            f"{CONFIG}: added_tokens_decoder: {place!r}: {token.content!r} is not that in {TOKENIZER}; "
            f"{_SAVE}"
        )
    for flag_of in _FLAGS:
        if getattr(token, flag_of) is not getattr(known, flag_of):
            raise InvalidPackage(
                f"{CONFIG}: added_tokens_decoder: {place!r}: {flag_of}: {getattr(token, flag_of)!r}, but "
                f"{TOKENIZER} says otherwise of {token.content!r}; {_SAVE}"
            )


def _check_file(tokenizer: Tokenizer, files: Files, ours: dict[str, tuple[int, AddedToken]]) -> None:
    """``added_tokens.json`` of older versions, which counts where no added_tokens_decoder is."""
    for content, place in files.added.items():
        at = ours[content][0] if content in ours else None
        if at != place:
            raise InvalidPackage(
                f"{ADDED_TOKENS}: {content!r}: {place!r} is not among the added_tokens of {TOKENIZER}; "
                f"{_SAVE}"
            )


def check_normalized(tokenizer: Tokenizer) -> None:
    """Raises InvalidPackage for a token of which the normalizer leaves nothing: the library looks for that
    everywhere, and fails on most texts or never comes back."""
    for token in tokenizer.get_added_tokens_decoder().values():
        looked_for = token.normalized and not token.special and tokenizer.normalizer is not None
        if looked_for and not tokenizer.normalizer.normalize_str(token.content):
            raise InvalidPackage(
                f"{TOKENIZER}: added_tokens: {token.content!r}: normalized: True, but the normalizer leaves "
                f"nothing of it; say false"
            )


def check_ends(tokenizer: Tokenizer, files: Files) -> None:
    """``add_bos_token`` and ``add_eos_token`` must be what the post-processor does."""
    config = files.config
    for switch, key, at in (("add_bos_token", "bos_token", 0), ("add_eos_token", "eos_token", -1)):
        token = config.get(key)
        content = token.get("content") if isinstance(token, dict) else token
        if config.get(switch) is None or not isinstance(content, str):
            continue
        if not (tokens := of_short_text(tokenizer).tokens):
            continue
        if (tokens[at] == content) is not flag(config, switch, False):
            raise InvalidPackage(
                f"{CONFIG}: {switch}: {config[switch]!r}, but the post_processor of {TOKENIZER} "
                f"{'adds' if tokens[at] == content else 'does not add'} {content!r}; {_SAVE}"
            )
