"""Task: text in, named entities out.

A token speaks for each word of the text (``words``), and words become entities (``spans``). Places in the
text count code points of the string that came in, whatever the tokenizer normalised.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from tokenizers import Encoding

from modelserve.domain.inference import Entity, Tensors
from modelserve.domain.models import ModelPackage
from modelserve.errors import InvalidInput, ModelFailed
from modelserve.tasks.probabilities import check_classes, likeliest
from modelserve.tasks.spans import Span, join_words, read_tags
from modelserve.tasks.tokenization import load_tokenizer
from modelserve.tasks.tokenizing.parts import is_the_librarys
from modelserve.tasks.words import past_marks, words_for

CHARACTERS_PER_TOKEN = 64
"""Text beyond so many characters for each token that the model takes is refused before it is tokenized."""
_ANY_TEXT = "a"


@dataclass(frozen=True, slots=True)
class Reading:
    """A text and its tokens."""

    text: str
    encoding: Encoding


class TokenClassification:
    """Needs a package whose task is token-classification. Raises InvalidPackage for an unusable tokenizer."""

    def __init__(self, package: ModelPackage) -> None:
        self._tokenizer, self._types, self._pad = load_tokenizer(package)
        self._words = words_for(self._tokenizer)
        self._inputs = package.signature.inputs
        self._logits = package.logits
        self._labels = len(package.labels)
        self._tags = read_tags(package.labels)
        self.most = package.limits.max_length
        self._max_characters = package.limits.max_length * CHARACTERS_PER_TOKEN

    def prepare(self, item: str | bytes) -> tuple[Tensors, Reading]:
        """Token ids and what goes with them, each int [1, tokens]. Raises InvalidInput."""
        encoding = self._encode(item)
        return self._tensors(encoding.ids, encoding.type_ids), Reading(str(item), encoding)

    def of_length(self, length: int) -> Tensors:
        """A text of so many tokens: the first token of a short one, again and again. Raises InvalidInput if
        the tokenizer does not take that."""
        encoding = self._encode(_ANY_TEXT)
        at = next((row for row, word in enumerate(encoding.word_ids) if word is not None), 0)
        more = max(0, length - len(encoding))
        return self._tensors(*(_repeated(row, at, more) for row in (encoding.ids, encoding.type_ids)))

    def _tensors(self, ids: list[int], types: list[int]) -> Tensors:
        columns: dict[str, Any] = {
            "input_ids": ids,
            "attention_mask": 1,
            "token_type_ids": types if self._types else 0,
        }
        tensors: Tensors = {}
        for spec in self._inputs:
            length = len(ids) if spec.shape[1] < 0 else spec.shape[1]
            fill = self._pad if spec.name == "input_ids" else 0
            row = np.full((1, length), fill, spec.datatype.numpy)
            row[0, : len(ids)] = columns[spec.name]
            tensors[spec.name] = row
        return tensors

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
                f"for the {self.most} tokens that the model takes: split it"
            )
        try:
            encoding = self._tokenizer.encode(item)
        except (TypeError, UnicodeEncodeError) as error:  # which one depends on the library's version
            raise InvalidInput("the text holds half of a surrogate pair; send whole characters") from error
        except Exception as error:  # the library's own errors have no class
            raise InvalidInput(f"the model's tokenizer does not take this text: {error}") from error
        except BaseException as error:
            if not is_the_librarys(error):
                raise
            raise ModelFailed("the model's tokenizer broke on this text") from error
        if not 0 < len(encoding) <= self.most:
            raise InvalidInput(
                f"the text has {len(encoding)} tokens; the model takes 1 to {self.most}: "
                f"{'split it' if len(encoding) else 'send some words'}"
            )
        return encoding


def _repeated(row: list[int], at: int, more: int) -> list[int]:
    return row[:at] + row[at : at + 1] * more + row[at:]


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
