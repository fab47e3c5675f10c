"""A text that is sent to a token classifier ..."""

import json
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models

from modelserve.domain.inference import DataType, Entity
from modelserve.errors import InvalidInput, InvalidPackage, ModelFailed, Unavailable
from modelserve.tasks import task_for

SURE = 8.0
"""Logit of the chosen class; the others have 0."""


def certainty(classes):
    return float(np.exp(SURE) / (np.exp(SURE) + classes - 1))


@pytest.fixture
def read(text_package):
    """Entities of a text whose words get these labels; words that are not named are outside."""

    def entities(text, words, extra=0, **package):
        fit = text_package(**package)
        task = task_for(fit)
        _, context = task.prepare(text)
        logits = np.zeros((1, len(context.encoding) + extra, len(fit.labels)), np.float32)
        if "O" in fit.labels:
            logits[..., fit.labels.index("O")] = SURE / 2
        encoding = context.encoding
        for word, label in words:
            start = text.index(word)
            first = next(
                row
                for row, (a, b) in enumerate(encoding.offsets)
                if a <= start < b and encoding.tokens[row].strip("\u2581")
            )
            logits[0, first] = 0
            logits[0, first, fit.labels.index(label)] = SURE
        return task.finish({"logits": logits}, context)

    return entities


def shown(entities):
    return [(entity.text, entity.label) for entity in entities]


class TestBecomesTensors:
    def test_of_the_names_and_datatypes_that_the_model_takes(self, text_package):
        inputs = ("attention_mask", "input_ids", "token_type_ids")
        task = task_for(text_package(inputs=inputs, datatype=DataType.INT32))
        tensors, context = task.prepare("Ada met Zoë")
        length = len(context.encoding)
        assert tuple(tensors) == inputs
        assert {(tensor.shape, tensor.dtype.name) for tensor in tensors.values()} == {((1, length), "int32")}
        assert tensors["input_ids"][0].tolist() == context.encoding.ids
        assert tensors["attention_mask"].tolist() == [[1] * length]
        assert tensors["token_type_ids"].tolist() == [[0] * length]

    def test_filled_up_to_a_fixed_length(self, text_package):
        tensors, context = task_for(text_package(tokens=30, max_length=30)).prepare("Ada")
        length = len(context.encoding)
        assert tensors["attention_mask"].tolist() == [[1] * length + [0] * (30 - length)]
        assert tensors["input_ids"].shape == (1, 30)

    def test_that_hold_no_special_token_of_its_own(self, text_package):
        tensors, _ = task_for(text_package()).prepare("Ada [SEP] Zoë")
        assert tensors["input_ids"][0].tolist().count(3) == 1

    def test_uncut_and_unpadded_whatever_the_tokenizer_file_says(self, text_package):
        package = text_package()
        path = package.path / "tokenizer.json"
        tokenizer = Tokenizer.from_file(str(path))
        tokenizer.enable_truncation(3)
        tokenizer.enable_padding(length=64)
        tokenizer.save(str(path))
        tensors, _ = task_for(package).prepare("Ada met Zoë in London")
        assert 3 < tensors["input_ids"].shape[1] < 64


class TestIsRefused:
    def refusal(self, task, item):
        with pytest.raises(InvalidInput) as caught:
            task.prepare(item)
        return caught.value.message

    def test_with_more_tokens_than_the_model_takes(self, text_package):
        task = task_for(text_package(max_length=5))
        assert task.prepare("Ada Ada Ada")[0]["input_ids"].shape == (1, 5)
        message = self.refusal(task, "Ada Ada Ada Ada")
        assert message == "the text has 6 tokens; the model takes 1 to 5: split it"

    def test_with_far_too_many_characters_before_it_is_tokenized(self, text_package):
        message = self.refusal(task_for(text_package(max_length=5)), " " * 321)
        assert message.startswith("the text has 321 characters; at most 320 are read for the 5 tokens")

    def test_with_no_token(self, text_package):
        message = self.refusal(task_for(text_package("metaspace")), "")
        assert message == "the text has 0 tokens; the model takes 1 to 512: send some words"

    def test_as_bytes(self, text_package):
        assert self.refusal(task_for(text_package()), b"Ada") == "this model takes text, not bytes"

    def test_with_half_a_surrogate_pair(self, text_package):
        assert "half of a surrogate pair" in self.refusal(task_for(text_package()), "Ada \ud83e")

    def test_with_a_character_for_which_the_tokenizer_has_no_token(self, text_package):
        package = text_package("word")
        Tokenizer(models.Unigram([("b", 0.0)])).save(str(package.path / "tokenizer.json"))
        task = task_for(package)
        assert task.prepare("b")[0]["input_ids"].tolist() == [[0]]
        assert self.refusal(task, "a").startswith("the model's tokenizer does not take this text: ")


class TestHoldsEntities:
    def test_of_several_words(self, read):
        text = "Ada Lovelace met Zoë in São Paulo."
        entities = read(
            text,
            [("Ada", "B-PER"), ("Lovelace", "I-PER"), ("Zoë", "B-PER"), ("São", "B-LOC"), ("Paulo", "I-LOC")],
        )
        assert shown(entities) == [("Ada Lovelace", "PER"), ("Zoë", "PER"), ("São Paulo", "LOC")]
        assert [text[e.start : e.end] for e in entities] == [e.text for e in entities]

    def test_with_the_mean_of_their_words_probabilities(self, text_package):
        task = task_for(text_package())
        _, context = task.prepare("Ada Ada")
        logits = np.zeros((1, 4, 5), np.float32)
        logits[0, 1, 1] = np.log(4)  # 4 / (4 + 4)
        logits[0, 2, 2] = np.log(12)  # 12 / (12 + 4)
        (entity,) = task.finish({"logits": logits}, context)
        assert entity == Entity("Ada Ada", "PER", pytest.approx((0.5 + 0.75) / 2), 0, 7)

    def test_named_by_the_first_token_of_a_word(self, text_package):
        task = task_for(text_package())
        text = "unbelievableness"
        _, context = task.prepare(text)
        assert len(context.encoding) > 3
        logits = np.zeros((1, len(context.encoding), 5), np.float32)
        logits[0, 1, 3] = SURE
        logits[0, 2:, 0] = 2 * SURE
        entities = task.finish({"logits": logits}, context)
        assert entities == (Entity(text, "LOC", pytest.approx(certainty(5)), 0, len(text)),)

    def test_that_start_inside(self, read):
        assert shown(read("met Ada Lovelace", [("Ada", "I-PER"), ("Lovelace", "I-PER")])) == [
            ("Ada Lovelace", "PER")
        ]

    def test_that_touch(self, read):
        words = [("Ada", "B-PER"), ("Zoë", "B-PER"), ("Paulo", "I-LOC")]
        assert shown(read("Ada Zoë Paulo", words)) == [("Ada", "PER"), ("Zoë", "PER"), ("Paulo", "LOC")]

    def test_interrupted_by_a_word_outside(self, read):
        words = [("Ada", "B-PER"), ("Zoë", "I-PER")]
        assert shown(read("Ada met Zoë", words)) == [("Ada", "PER"), ("Zoë", "PER")]

    def test_of_a_plain_label_set(self, read):
        words = [("Ada", "PER"), ("Lovelace", "PER"), ("London", "LOC")]
        entities = read("Ada Lovelace in London", words, labels=("O", "PER", "LOC"))
        assert shown(entities) == [("Ada Lovelace", "PER"), ("London", "LOC")]

    def test_of_plain_labels_with_dashes(self, read):
        entities = read("Ada met", [("Ada", "E-mail")], labels=("O", "E-mail"))
        assert shown(entities) == [("Ada", "E-mail")]

    def test_of_a_single_word_scheme(self, read):
        labels = ("O", "B-X", "I-X", "E-X", "S-X")
        words = [("Ada", "B-X"), ("met", "E-X"), ("Zoë", "S-X"), ("in", "S-X")]
        assert shown(read("Ada met Zoë in", words, labels=labels)) == [
            ("Ada met", "X"), ("Zoë", "X"), ("in", "X"),
        ]  # fmt: skip

    def test_none_where_all_is_outside(self, read):
        assert read("Ada met Zoë", []) == ()

    def test_none_in_the_special_tokens(self, text_package):
        task = task_for(text_package())
        _, context = task.prepare("")
        logits = np.full((1, len(context.encoding), 5), 1.0)
        logits[..., 1] = SURE
        assert task.finish({"logits": logits}, context) == ()

    def test_none_in_what_was_padded(self, read):
        assert shown(read("Ada", [("Ada", "B-PER")], extra=7)) == [("Ada", "PER")]

    @pytest.mark.parametrize("tokenizer", ["word", "lower", "byte", "metaspace"])
    @pytest.mark.parametrize(
        ("text", "name"),
        [
            ("👩🏽‍🚀 Ada met 🦆 Zoë 🦆", "Zoë"),
            ("cafe\u0301 Zoe\u0308 Ada", "Zoe\u0308"),
            ("İ Åå ﬁ ½ Ada", "Ada"),
            ("  Ada\u00a0 ", "Ada"),
            ("Ｆｕｌｌ Ada ㌀", "Ada"),
        ],
    )
    def test_at_places_in_the_original_string(self, read, tokenizer, text, name):
        (entity,) = read(text, [(name, "B-PER")], tokenizer=tokenizer)
        assert (entity.text, entity.start) == (name, text.index(name))

    def test_of_single_cjk_characters(self, read):
        text = "我在北京见了艾达"
        assert shown(read(text, [("北", "B-LOC"), ("京", "I-LOC")])) == [("北京", "LOC")]


class TestAnAnswerFails:
    def answer(self, text_package, logits):
        task = task_for(text_package())
        _, context = task.prepare("Ada met")
        with pytest.raises(ModelFailed) as caught:
            task.finish({"logits": logits}, context)
        return caught.value.message

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_that_holds_no_numbers(self, text_package, value):
        message = self.answer(text_package, np.full((1, 4, 5), value, np.float32))
        assert message == "the model failed: its logits hold NaN or infinity"

    def test_with_too_few_tokens(self, text_package):
        message = self.answer(text_package, np.zeros((1, 1, 5), np.float32))
        assert message == "the model failed: it answered 1 of 4 tokens"

    def test_with_other_classes_than_labels(self, text_package):
        message = self.answer(text_package, np.zeros((1, 4, 6), np.float32))
        assert message == "the model failed: it gave 6 classes for 5 labels"


class TestATokenizer:
    def test_that_can_not_be_loaded_says_what_to_install(self, text_package, monkeypatch):
        package = text_package()
        monkeypatch.setitem(sys.modules, "tokenizers", None)
        monkeypatch.delitem(sys.modules, "modelserve.tasks.token_classification", raising=False)
        with pytest.raises(Unavailable, match=r"needs tokenizers, .* pip install 'modelserve\[onnx\]'"):
            task_for(package)

    def test_that_is_broken_is_refused(self, text_package):
        package = text_package()
        (package.path / "tokenizer.json").write_text(json.dumps({"version": "1.0"}))
        with pytest.raises(InvalidPackage, match=r"tokenizer\.json: the tokenizers library refuses it"):
            task_for(package)

    def test_that_splits_no_words_is_refused(self, text_package):
        package = text_package()
        Tokenizer(models.WordPiece()).save(str(package.path / "tokenizer.json"))
        with pytest.raises(InvalidPackage, match=r"tokenizer\.json: has no pre_tokenizer"):
            task_for(package)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.text(max_size=40),
    tokenizer=st.sampled_from(["word", "lower", "byte", "metaspace"]),
    data=st.data(),
)
def test_has_only_entities_that_are_in_it(text_package, text, tokenizer, data):
    task = task_for(text_package(tokenizer))
    try:
        _, context = task.prepare(text)
    except InvalidInput as refused:
        assert "0 tokens" in refused.message  # noqa: PT017 - one of two right outcomes
        return
    chosen = data.draw(
        st.lists(st.integers(0, 4), min_size=len(context.encoding), max_size=len(context.encoding))
    )
    entities = task.finish({"logits": SURE * np.eye(5)[chosen][None]}, context)
    ends = 0
    for entity in entities:
        assert ends <= entity.start < entity.end <= len(text)
        assert entity.text == text[entity.start : entity.end] == entity.text.strip()
        assert entity.label in ("PER", "LOC")
        assert entity.score == pytest.approx(certainty(5))
        ends = entity.end
