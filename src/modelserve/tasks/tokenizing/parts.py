"""The parts of a tokenizer and their states, which are what tokenizer.json holds."""

from __future__ import annotations

import json
from typing import Any

from tokenizers import Encoding, Tokenizer

from modelserve.errors import InvalidPackage
from modelserve.tasks.tokenizing.files import TOKENIZER, State


def state_of(part: Any) -> State | None:
    """The state of a normalizer or pre_tokenizer."""
    if part is None:
        return None
    state: State = json.loads(part.__getstate__())
    return state


def part_of(key: str, state: State | None) -> Any:
    """A part from its state, by way of a tokenizer that has little else."""
    if state is None:
        return None
    model = {"type": "WordLevel", "vocab": {"": 0}, "unk_token": ""}
    whole = {"version": "1.0", "added_tokens": [], "model": model, key: state}
    return getattr(Tokenizer.from_str(json.dumps(whole)), key)


def parts_in(state: State | None) -> list[State]:
    """The parts that follow one another."""
    if state is None:
        return []
    found: list[State] = state.get("normalizers") or state.get("pretokenizers") or [state]
    return found


def changed(state: State | None, kind: str, more: State) -> State | None:
    """The state with its first part of this kind changed; None where nothing changes."""
    whole: State | None = json.loads(json.dumps(state))
    for part in parts_in(whole):
        if part.get("type") == kind and any(part.get(key) != value for key, value in more.items()):
            part.update(more)
            return whole
    return None


def pieces(normalizer: Any, splitter: Any, text: str) -> list[str]:
    """What the two make of a text, before the vocabulary has its say."""
    normal = text if normalizer is None else normalizer.normalize_str(text)
    return [normal] if splitter is None else [piece for piece, _ in splitter.pre_tokenize_str(normal)]


def of_short_text(tokenizer: Tokenizer) -> Encoding:
    """What it makes of a letter. Raises InvalidPackage for a tokenizer that takes none."""
    try:
        return tokenizer.encode("a")
    except BaseException as error:
        if not is_the_librarys(error):
            raise
        raise InvalidPackage(f"{TOKENIZER}: it takes no text: {error}") from error


def is_the_librarys(error: BaseException) -> bool:
    """Whether the tokenizers library raised it: plain Exception, or what its panics become, which is none."""
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"
