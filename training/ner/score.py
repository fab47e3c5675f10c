"""Runs a NER package and scores it: exact-match F1 of entities. Needs no torch.

An entity counts as found when its label, start and end are all right. F1 is the micro average,
2 * found / (predicted + expected), as in the CoNLL-2003 shared task (Tjong Kim Sang and De
Meulder, 2003, section 3).
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from training.ner.rows import LABELS, MAX_LENGTH, Entity, Row
from training.packages import read_jsonl


class Package:
    """A package folder, loaded: one onnxruntime session on one thread."""

    def __init__(self, folder: Path) -> None:
        self.tokenizer: Tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.enable_truncation(MAX_LENGTH)
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 4  # the failing model's errors are raised, not also printed
        self.session = ort.InferenceSession(
            str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )

    def logits(self, encodings: Sequence[Encoding]) -> NDArray[np.float32]:
        """float32 [batch, sequence, labels]; shorter rows are padded with id 0, mask 0."""
        width = max(len(encoding) for encoding in encodings)
        ids = np.zeros((len(encodings), width), np.int64)
        mask = np.zeros_like(ids)
        for i, encoding in enumerate(encodings):
            ids[i, : len(encoding)] = encoding.ids
            mask[i, : len(encoding)] = 1
        return self.session.run(["logits"], {"input_ids": ids, "attention_mask": mask})[0]

    def entities(self, text: str) -> tuple[Entity, ...]:
        """The entities found in one text. Raises what onnxruntime raises."""
        encoding = self.tokenizer.encode(text)
        return decode(text, encoding, self.logits([encoding])[0].argmax(-1).tolist())


def decode(text: str, encoding: Encoding, label_ids: Sequence[int]) -> tuple[Entity, ...]:
    """Entities from one label id per token. The first piece of a word speaks for the word."""
    spans: list[tuple[str, int, int]] = []
    word_before, label = None, "O"
    for word, (start, end), label_id in zip(encoding.word_ids, encoding.offsets, label_ids, strict=False):
        if word is None:  # [CLS], [SEP] and padding
            continue
        continued = word == word_before or _continues(label, LABELS[label_id])
        label = label if word == word_before else LABELS[label_id]
        word_before = word
        if label == "O":
            continue
        if continued:
            spans[-1] = (spans[-1][0], spans[-1][1], end)
        else:
            spans.append((label[2:], start, end))
    return tuple(Entity(text[start:end], kind, start, end) for kind, start, end in spans)


def _continues(before: str, label: str) -> bool:
    return label.startswith("I-") and before[2:] == label[2:]


def f1(expected: Iterable[Sequence[Entity]], predicted: Iterable[Sequence[Entity]]) -> float:
    """Micro F1 over texts, from 0 to 1; 0 when nothing is right."""
    found = total = 0
    for truth, guess in zip(expected, predicted, strict=True):
        found += len(set(truth) & set(guess))
        total += len(truth) + len(guess)
    return 2 * found / total if total else 0.0


def f1_of_label(
    label: str, expected: Iterable[Sequence[Entity]], predicted: Iterable[Sequence[Entity]]
) -> float:
    """F1 of one label alone."""

    def only(rows: Iterable[Sequence[Entity]]) -> list[list[Entity]]:
        return [[entity for entity in row if entity.label == label] for row in rows]

    return f1(only(expected), only(predicted))


def disagreement(one: Sequence[Sequence[Entity]], other: Sequence[Sequence[Entity]]) -> float:
    """Share of texts for which two models give different entities."""
    return sum(set(a) != set(b) for a, b in zip(one, other, strict=True)) / len(one)


def reference_rows(folder: Path) -> list[Row]:
    """The held-out rows of a package."""
    return [Row.from_json(value) for value in read_jsonl(folder / "reference.jsonl")]
