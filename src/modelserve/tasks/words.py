"""The words of a text, and the token that speaks for each.

Tokenizers with words of their own (BERT's word pieces) say which tokens are one word. The others
(SentencePiece, bytes) know white space at most, so the text itself says it: see ``characters``. A token of
nothing but space speaks for no word.
"""

from __future__ import annotations

import json
from typing import Any, Protocol

from tokenizers import Encoding, Tokenizer
from tokenizers import models as tokenizer_models

from modelserve.tasks.characters import Joint, is_mark, is_spaceless, pieces
from modelserve.tasks.spans import Word

_SPACE_SIGNS = ("\u2581", "\u0120")
"""What SentencePiece and byte-level tokenizers write for a space."""
_LONGEST_SPACE = 32
"""Tokens of more spaces than this are told by their place in the text alone."""

_NONE = Joint.NONE
_Token = tuple[int, int, int]
"""Its index, and where it starts and ends."""
Speech = tuple[list[int], list[Word]]
"""Indices of tokens, and the word that each speaks for, in reading order."""


class Words(Protocol):
    """A way to tell the words of a text."""

    def __call__(self, text: str, encoding: Encoding, /) -> Speech: ...


def words_for(tokenizer: Tokenizer) -> Words:
    """The way that fits the tokenizer."""
    return own_words if has_own_words(tokenizer) else WordsOfText(tokenizer)


def has_own_words(tokenizer: Tokenizer) -> bool:
    """Whether it parts words at white space and punctuation by itself, as BERT's does."""
    model: Any = tokenizer.model
    if isinstance(model, (tokenizer_models.WordPiece, tokenizer_models.WordLevel)):
        return True
    return bool(getattr(model, "continuing_subword_prefix", None)) or _splits_like_bert(tokenizer)


def _splits_like_bert(tokenizer: Tokenizer) -> bool:
    splitter: Any = tokenizer.pre_tokenizer
    if splitter is None:
        return False
    state = json.loads(splitter.__getstate__())
    return any(part["type"] == "BertPreTokenizer" for part in state.get("pretokenizers", [state]))


def own_words(text: str, encoding: Encoding) -> Speech:
    """The tokenizer's own words; the first token speaks for each, as models of this kind are trained.

    A word that starts with a combining mark belongs to the word before it: some tokenizers part them. Where a
    script writes no spaces, each token is a word.
    """
    marked = not text.isascii()
    firsts: list[int] = []
    words: list[Word] = []
    previous = None
    for row, (word, (start, end)) in enumerate(zip(encoding.word_ids, encoding.offsets, strict=True)):
        if word is None:
            continue
        more = word == previous and not (marked and _parts(text, words[-1], start, end))
        if more or (marked and words and start < past_marks(text, words[-1][1])):
            words[-1] = (words[-1][0], end, _NONE)
        else:
            firsts.append(row)
            words.append((start, end, _NONE))
        previous = word
    return firsts, words


def _parts(text: str, word: Word, start: int, end: int) -> bool:
    """Whether a token ends the word before it because one of them is written in a script without spaces."""
    if not word[1] <= start < end or is_mark(text[start]):
        return False
    return is_spaceless(text[start]) or is_spaceless(text[word[0]])


class WordsOfText:
    """Words by the characters of the text.

    The first token of a word speaks for it. Signs (punctuation, emoji) and tokens of scripts without spaces
    speak for themselves; a sign that shares its token with a word is silent.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        spaces = (sign * count for sign in _SPACE_SIGNS for count in range(1, _LONGEST_SPACE + 1))
        self._blanks = frozenset(tokenizer.token_to_id(space) for space in spaces)

    def __call__(self, text: str, encoding: Encoding) -> Speech:
        blanks = self._blanks
        columns = zip(encoding.ids, encoding.word_ids, encoding.offsets, strict=True)
        tokens = [
            (row, place[0], place[1])
            for row, (token, word, place) in enumerate(columns)
            if word is not None and place[0] < place[1] and token not in blanks
        ]
        return _speak(text, tokens)


def _speak(text: str, tokens: list[_Token]) -> Speech:
    speech = _Speech(text)
    at, count = 0, len(tokens)
    for kind, start, end, joint in pieces(text):
        while at < count and tokens[at][2] <= start:
            at += 1
        if at == count:
            break
        if tokens[at][1] >= end:
            continue
        if kind == "run":
            at = speech.add_run(start, end, tokens, at)
        elif tokens[at][0] == speech.last:
            speech.add_more(kind, start, end)
        else:
            speech.begin(tokens[at][0], (start, end, joint), kind)
    return speech.firsts, speech.words


class _Speech:
    def __init__(self, text: str) -> None:
        self.firsts: list[int] = []
        self.words: list[Word] = []
        self.last = -1
        """The token that spoke last."""
        self._text = text
        self._kind = ""

    def begin(self, token: int, word: Word, kind: str) -> None:
        """Let a token speak for a word."""
        self.firsts.append(token)
        self.words.append(word)
        self.last, self._kind = token, kind

    def add_run(self, start: int, end: int, tokens: list[_Token], at: int) -> int:
        """Let each token speak for its share of a run; gives back the last of them."""
        fresh = start  # where the next word of the run may begin
        while at < len(tokens) and tokens[at][1] < end:
            token, first, last = tokens[at]
            first, last = max(start, first), min(end, last)
            if token == self.last:
                self.add_more("run", first, last)
            elif fresh > start and (first < fresh or is_mark(self._text[first])):
                self._extend(last)  # bytes of the last character, or a mark on it
            else:
                self.begin(token, (first, last, _NONE), "run")
            fresh = max(fresh, last)
            at += 1
        return at - 1

    def add_more(self, kind: str, start: int, end: int) -> None:
        """One token for several pieces: they are one word, without the signs at its edges."""
        if self._kind == "sign" and kind != "sign":
            self.words[-1] = (start, end, _NONE)
            self._kind = kind
        elif self._kind == "sign" or kind != "sign":
            self._extend(end)

    def _extend(self, end: int) -> None:
        start, last, joint = self.words[-1]
        self.words[-1] = (start, max(last, end), joint)


def past_marks(text: str, end: int) -> int:
    """The first place at or after ``end`` that holds no combining mark."""
    while end < len(text) and text[end] > "\u02ff" and is_mark(text[end]):
        end += 1
    return end
