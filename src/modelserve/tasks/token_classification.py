"""Task: text in, named entities out.

A token speaks for each word of the text (``words``), and words become entities (``spans``). Places in the
text count code points of the string that came in, whatever the tokenizer normalised.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from tokenizers import Encoding, Tokenizer

from modelserve.domain.inference import Entity, Tensors
from modelserve.domain.models import ModelPackage
from modelserve.errors import InvalidInput, InvalidPackage, ModelFailed
from modelserve.tasks.probabilities import check_classes, likeliest
from modelserve.tasks.spans import Span, join_words, read_tags
from modelserve.tasks.words import has_own_words, past_marks, words_for

TOKENIZER = "tokenizer.json"
CHARACTERS_PER_TOKEN = 64
"""Text beyond so many characters for each token that the model takes is refused before it is tokenized."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A text and its tokens."""

    text: str
    encoding: Encoding


class TokenClassification:
    """Needs a package whose task is token-classification. Raises InvalidPackage for an unusable tokenizer."""

    def __init__(self, package: ModelPackage) -> None:
        self._tokenizer = _load_tokenizer(package)
        self._words = words_for(self._tokenizer)
        self._inputs = package.signature.inputs
        self._logits = package.signature.outputs[0].name
        self._labels = len(package.labels)
        self._tags = read_tags(package.labels)
        self._max_tokens = package.limits.max_length
        self._max_characters = package.limits.max_length * CHARACTERS_PER_TOKEN

    def prepare(self, item: str | bytes) -> tuple[Tensors, Reading]:
        """Token ids and what goes with them, each int [1, tokens]. Raises InvalidInput."""
        encoding = self._encode(item)
        columns = {
            "input_ids": encoding.ids,
            "attention_mask": encoding.attention_mask,
            "token_type_ids": encoding.type_ids,
        }
        tensors: Tensors = {}
        for spec in self._inputs:
            length = len(encoding) if spec.shape[1] < 0 else spec.shape[1]
            row = np.zeros((1, length), spec.datatype.numpy)
            row[0, : len(encoding)] = columns[spec.name]
            tensors[spec.name] = row
        return tensors, Reading(str(item), encoding)

    def finish(self, outputs: Tensors, context: Any) -> tuple[Entity, ...]:
        """Entities in reading order, from logits [1, tokens or more, labels]. Raises ModelFailed."""
        reading: Reading = context
        logits = outputs[self._logits][0]
        check_classes(logits, self._labels)
        if len(logits) < len(reading.encoding):
            raise ModelFailed(
                f"the model failed: it answered {len(logits)} of {len(reading.encoding)} tokens"
            )
        firsts, words = self._words(reading.text, reading.encoding)
        if not firsts:
            return ()
        classes, scores = likeliest(logits[firsts])
        spans = join_words([self._tags[choice] for choice in classes], scores, words)
        found = [_entity(reading.text, span) for span in spans]
        return tuple(entity for entity in found if entity is not None)

    def _encode(self, item: str | bytes) -> Encoding:
        if not isinstance(item, str):
            raise InvalidInput("this model takes text, not bytes")
        if len(item) > self._max_characters:
            raise InvalidInput(
                f"the text has {len(item)} characters; at most {self._max_characters} are read "
                f"for the {self._max_tokens} tokens that the model takes: split it"
            )
        try:
            encoding = self._tokenizer.encode(item)
        except (TypeError, UnicodeEncodeError) as error:  # which one depends on the library's version
            raise InvalidInput("the text holds half of a surrogate pair; send whole characters") from error
        if not 0 < len(encoding) <= self._max_tokens:
            raise InvalidInput(
                f"the text has {len(encoding)} tokens; the model takes 1 to {self._max_tokens}: "
                f"{'split it' if len(encoding) else 'send some words'}"
            )
        return encoding


def _load_tokenizer(package: ModelPackage) -> Tokenizer:
    path = package.path / TOKENIZER
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises Exception itself
        raise InvalidPackage(f"{TOKENIZER}: the tokenizers library refuses it: {error}") from error
    if tokenizer.pre_tokenizer is None and has_own_words(tokenizer):
        raise InvalidPackage(f"{TOKENIZER}: has no pre_tokenizer, so words can't be told apart; export one")
    tokenizer.no_truncation()  # what is too long is refused, not cut
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = True  # "[SEP]" in a text is five characters
    return tokenizer


def _entity(text: str, span: Span) -> Entity | None:
    """The entity without the white space that some tokenizers count to a word, and with the combining marks
    that some leave behind; None if there is nothing but white space.
    """
    end = past_marks(text, span.end)
    piece = text[span.start : end].lstrip()
    start, piece = end - len(piece), piece.rstrip()
    if not piece:
        return None
    return Entity(piece, span.kind, sum(span.scores) / len(span.scores), start, start + len(piece))
