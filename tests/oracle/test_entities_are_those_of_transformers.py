"""Entities are those of transformers ..."""

import json
import shutil
import warnings
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest
from transformers import AutoTokenizer, pipeline

from modelserve.errors import ModelFailed
from modelserve.packages import open_package
from modelserve.runtimes import runtime_for
from modelserve.tasks import task_for
from modelserve.tasks.probabilities import likeliest
from modelserve.tasks.words import words_for
from tests.oracle import texts

SCORE = 1e-3
NAMES = tuple(name for name in texts.TOKENIZERS if name != "deberta")
"""Models that run: an export of DeBERTa's first version takes texts of one length alone."""
ALL = (*texts.PLAIN, *texts.SIGNED, *texts.OTHERS)


@dataclass
class Pair:
    """One folder, as it is served and as transformers reads it."""

    name: str
    package: Any
    task: Any
    model: Any
    theirs: Any
    tokenizer: Any

    def answer(self, text: str) -> tuple[Any, Any, Any]:
        tensors, context = self.task.prepare(text)
        return tensors, context, self.model.predict(tensors)

    def entities(self, text: str) -> Any:
        _, context, outputs = self.answer(text)
        return self.task.finish(outputs, context)

    def told(self, text: str, strategy: str) -> Any:
        with warnings.catch_warnings(action="ignore"):
            return self.theirs(
                text, aggregation_strategy=strategy, ignore_labels=["O"] if strategy != "none" else []
            )


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Each model once, when it is asked for first."""

    @cache
    def make(name):
        folder = tmp_path_factory.mktemp(name)
        model = texts.save(name, folder)
        package = open_package(folder)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        theirs = pipeline("token-classification", model=model, tokenizer=tokenizer, device="cpu")
        runs = runtime_for(package.runtime).load(package)
        return Pair(name, package, task_for(package), runs, theirs, tokenizer)

    return make


@pytest.fixture(params=NAMES)
def pair(request, pairs):
    return pairs(request.param)


def same(ours, theirs, text):
    """Some of the library's places begin at the space before the word."""
    assert [(each.label, each.start, each.end) for each in ours] == [
        (each["entity_group"], each["end"] - len(text[each["start"] : each["end"]].lstrip()), each["end"])
        for each in theirs
    ], text
    assert [each.score for each in ours] == pytest.approx([each["score"] for each in theirs], abs=SCORE)


@pytest.mark.parametrize("pair", texts.TOKENIZERS, indirect=True)
def test_from_the_same_tokens(pair):
    for text in ALL:
        tensors, _ = pair.task.prepare(text)
        wanted = pair.tokenizer(text)
        assert "input_ids" in tensors
        for name, rows in tensors.items():
            assert rows[0].tolist() == wanted[name], text


CHANGES = [
    ("bert-cased", {"do_lower_case": True}),
    ("bert-cased", {"do_lower_case": True, "strip_accents": False}),
    ("bert-cased", {"tokenize_chinese_chars": False}),
    ("bert-cased", {"tokenizer_class": "PreTrainedTokenizerFast", "do_lower_case": True}),
    ("bert-uncased", {"do_lower_case": False}),
    ("bert-uncased", {"strip_accents": False, "padding_side": "left", "truncation_side": "left"}),
    ("mpnet", {"do_lower_case": False, "strip_accents": True}),
    ("roberta", {"add_prefix_space": True}),
    ("roberta-prefix", {"add_prefix_space": False}),
    ("roberta", {"tokenizer_class": "PreTrainedTokenizerFast", "add_prefix_space": True}),
    ("xlm-roberta", {"add_prefix_space": False}),
    ("camembert", {"add_prefix_space": False}),
    ("albert", {"add_prefix_space": False}),
    ("deberta-v2", {"add_prefix_space": False}),
]


@pytest.mark.parametrize(("name", "changes"), CHANGES)
def test_from_the_same_tokens_when_the_configuration_says_otherwise(pairs, tmp_path, name, changes):
    """Otherwise than tokenizer.json, that is."""
    folder = tmp_path / name
    shutil.copytree(pairs(name).package.path, folder)
    file = folder / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    task, theirs = task_for(open_package(folder)), AutoTokenizer.from_pretrained(folder)
    for text in ALL:
        assert task.prepare(text)[0]["input_ids"][0].tolist() == theirs(text)["input_ids"], text


def test_from_the_same_scores_of_each_token(pair):
    for text in ALL:
        _, context, outputs = pair.answer(text)
        classes, scores = likeliest(outputs["logits"][0])
        special = context.encoding.special_tokens_mask
        ours = [
            (row, texts.LABELS[choice], score)
            for row, (choice, score) in enumerate(zip(classes, scores, strict=True))
            if not special[row]
        ]
        theirs = pair.told(text, "none")
        assert [each[:2] for each in ours] == [(each["index"], each["entity"]) for each in theirs], text
        assert [each[2] for each in ours] == pytest.approx([each["score"] for each in theirs], abs=SCORE)


def test_where_words_are_parted_by_spaces_alone(pair):
    """The library's ``first``."""
    found = 0
    for text in texts.PLAIN:
        _, context, _ = pair.answer(text)
        assert not {"▁", "Ġ"} & set(context.encoding.tokens), "the library lets a bare space speak"
        ours = pair.entities(text)
        same(ours, pair.told(text, "first"), text)
        found += len(ours)
    assert found > 3


@pytest.mark.parametrize("pair", texts.WORD_PIECES, indirect=True)
def test_where_word_pieces_tell_words(pair):
    """The library's ``first``, with all that BERT parts words at; it knows words by their pieces' length, so
    that letters which were normalised to another length are left out."""
    for text in (
        *texts.PLAIN,
        *texts.SIGNED,
        "今天北京天气怎么样？我住在東京。",
        "Ада встретила Чарльза в Лондоне",
        "👩🏽 🦆",
    ):
        if not pair.name.endswith("-cased") and not text.isascii():
            continue
        same(pair.entities(text), pair.told(text, "first"), text)


@pytest.mark.parametrize("pair", ["xlm-roberta", "camembert"], indirect=True)
def test_of_tokens_where_scripts_have_no_spaces(pair):
    """The library's ``none``, without the bare space that it lets speak."""
    for text in ("今天北京天气怎么样", "我住在東京", "私はベルリンにいる"):
        _, context, _ = pair.answer(text)
        firsts, words = words_for(pair.tokenizer.backend_tokenizer)(text, context.encoding)
        theirs = [each for each in pair.told(text, "none") if each["word"] != "▁"]
        assert firsts == [each["index"] for each in theirs]
        assert [word[:2] for word in words] == [(each["start"], each["end"]) for each in theirs]


LONGEST = {
    "roberta": 62,
    "roberta-prefix": 62,
    "xlm-roberta": 62,
    "camembert": 62,
    "mpnet": 62,
    "deberta-v2": 512,
}
"""Tokens that are let through, where they are not as many as there are positions."""


def test_at_the_longest_text_too(pair):
    longest = pair.task.of_length(pair.task.most)
    length = LONGEST.get(pair.name, texts.LIMIT)
    assert longest["input_ids"].shape == (1, length)
    assert pair.model.predict(longest)["logits"].shape == (1, length, len(texts.LABELS))


@pytest.mark.parametrize("pair", sorted(set(NAMES) - {"deberta-v2"}), indirect=True)
def test_and_no_longer_one_would_do(pair):
    """So the bound is the model's, and no token too low."""
    longer = {
        name: np.insert(row, 1, row[0, 1], axis=1)
        for name, row in pair.task.of_length(pair.task.most).items()
    }
    with pytest.raises(ModelFailed):
        pair.model.predict(longer)
