"""A text model ..."""

import json

import pytest

from modelserve.errors import InvalidPackage
from modelserve.packages import open_package


def refusal(folder):
    with pytest.raises(InvalidPackage) as caught:
        open_package(folder)
    return caught.value.message


def most(folder):
    return open_package(folder).limits.max_length


def write(folder, name, **content):
    (folder / name).write_text(json.dumps(content))
    return folder


class TestTakesNoMoreTokensThanItHasPositions:
    @pytest.mark.parametrize(
        "kind",
        [
            "roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "longformer", "luke", "xmod",
            "data2vec-text", "esm", "ibert", "roberta-prelayernorm",
        ],
    )  # fmt: skip
    @pytest.mark.parametrize(("pad", "tokens"), [(1, 62), (3, 60), (0, 63), (None, 62)])
    def test_after_the_padding_token(self, text_folder, kind, pad, tokens):
        folder = text_folder({"model_type": kind, "max_position_embeddings": 64, "pad_token_id": pad})
        assert most(folder) == tokens

    @pytest.mark.parametrize(
        ("stem", "tokens"),
        [
            ("Roberta", 60), ("XLMRoberta", 60), ("XLMRobertaXL", 60), ("Camembert", 60), ("Longformer", 60),
            ("Data2VecText", 60), ("Xmod", 60), ("Esm", 60), ("IBert", 60), ("RobertaPreLayerNorm", 60),
            ("Luke", 60), ("MPNet", 62), ("ErnieM", 62), ("Bert", 64), ("BigBird", 64), ("Nystromformer", 64),
        ],
    )  # fmt: skip
    def test_by_its_architecture_where_it_names_no_type(self, text_folder, stem, tokens):
        architectures = [f"{stem}ForTokenClassification"]
        folder = text_folder(
            {"architectures": architectures, "max_position_embeddings": 64, "pad_token_id": 3}
        )
        assert most(folder) == tokens

    def test_by_the_name_that_its_type_has_for_them(self, text_folder):
        assert most(text_folder({"model_type": "gpt2", "n_positions": 32})) == 32

    @pytest.mark.parametrize(
        "config",
        [
            {"model_type": "deberta-v2", "position_biased_input": False, "max_position_embeddings": 64},
            {"model_type": "esm", "position_embedding_type": "rotary", "max_position_embeddings": 64},
            {"model_type": "xlnet"},
            {"model_type": "t5", "n_positions": 64},
            {"model_type": "deberta-v2", "max_position_embeddings": -1},
        ],
    )
    def test_but_as_many_as_are_declared_where_positions_are_relative(self, text_folder, config):
        folder = text_folder(config)
        assert most(folder) == 512
        (folder / "modelserve.yaml").write_text("limits: {maxLength: 2048}")
        assert most(folder) == 2048

    def test_though_more_are_declared(self, text_folder):
        folder = text_folder({"model_type": "roberta", "max_position_embeddings": 514, "pad_token_id": 3})
        assert most(folder) == 510
        (folder / "modelserve.yaml").write_text("limits: {maxLength: 511}")
        assert refusal(folder) == (
            "modelserve.yaml: limits.maxLength: 511 is above the 510 tokens that the model takes "
            "(config.json: max_position_embeddings: 514, of which roberta skips 4)"
        )

    @pytest.mark.parametrize("positions", ["512", 512.5, True, [512]])
    def test_and_says_so_in_numbers(self, text_folder, positions):
        folder = text_folder({"max_position_embeddings": positions})
        assert f"config.json: max_position_embeddings: {positions!r}; a number" in refusal(folder)

    def test_and_has_one_at_least(self, text_folder):
        folder = text_folder({"model_type": "roberta", "max_position_embeddings": 2, "pad_token_id": 1})
        assert "max_position_embeddings: 2 leaves no position for a token" in refusal(folder)


class TestTakesNoMoreTokensThanItsTokenizerSays:
    @pytest.mark.parametrize(("length", "tokens"), [(48, 48), (48.0, 48), (1e30, 64), (2**40, 64), (-1, 64)])
    def test_in_its_configuration(self, text_folder, length, tokens):
        folder = text_folder({"max_position_embeddings": 64})
        assert most(write(folder, "tokenizer_config.json", model_max_length=length)) == tokens

    def test_though_more_are_declared(self, text_folder):
        folder = write(text_folder(), "tokenizer_config.json", model_max_length=48)
        (folder / "modelserve.yaml").write_text("limits: {maxLength: 49}")
        assert "above the 48 tokens that the model takes (tokenizer_config.json: model_max" in refusal(folder)

    def test_in_numbers(self, text_folder):
        folder = write(text_folder(), "tokenizer_config.json", model_max_length="512")
        assert "tokenizer_config.json: model_max_length: '512'; a number" in refusal(folder)


class TestThatDoesNotFitItsTokenizer:
    def added(self, folder, special):
        token = {"id": 16, "content": "[GENE]", "special": special}
        return write(folder, "tokenizer.json", added_tokens=[token])

    def test_is_refused_for_a_token_without_an_embedding(self, text_folder):
        folder = self.added(text_folder({"vocab_size": 16}), special=False)
        assert "vocab_size: 16 leaves no embedding for the added token '[GENE]'" in refusal(folder)

    def test_is_taken_where_no_text_can_have_that_token(self, text_folder):
        assert open_package(self.added(text_folder({"vocab_size": 16}), special=True))
        assert open_package(self.added(text_folder({"vocab_size": 17}), special=False))

    @pytest.mark.parametrize("nested", [False, True])
    def test_is_refused_for_a_type_without_an_embedding(self, text_folder, nested):
        folder = text_folder({"type_vocab_size": 2}, inputs=("input_ids", "token_type_ids"))
        single = [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "<cls>", "type_id": 2}}]
        post = {"type": "TemplateProcessing", "single": single}
        write(
            folder,
            "tokenizer.json",
            post_processor={"type": "Sequence", "processors": [post]} if nested else post,
        )
        assert (
            "type_vocab_size: 2, but the post_processor of tokenizer.json gives tokens the type 2"
            in refusal(folder)
        )

    @pytest.mark.parametrize("token", [-1, 16, 99, None, "0"])
    def test_is_filled_up_with_a_token_that_has_an_embedding(self, text_folder, token):
        """The mask keeps it unseen."""
        folder = text_folder({"vocab_size": 16, "pad_token_id": token})
        assert open_package(folder).signature.inputs[0].pad == 0


class TestThatAsksForOtherEntities:
    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("aggregation_strategy", "max"),
            ("ignore_labels", []),
            ("stride", 16),
            ("problem_type", "multi_label_classification"),
        ],
    )
    def test_is_refused_by_the_key(self, text_folder, key, value):
        assert f"config.json: {key}: {value!r}; " in refusal(text_folder({key: value}))
        nested = {"task_specific_params": {"token-classification": {key: value}}}
        assert f"config.json: {key}: {value!r}; " in refusal(text_folder(nested))

    def test_is_taken_where_they_are_the_same(self, text_folder):
        same = {"aggregation_strategy": "first", "ignore_labels": ["O"], "stride": 0}
        assert open_package(text_folder({**same, "problem_type": "single_label_classification"}))


@pytest.mark.parametrize(
    "odd",
    [
        {"added_tokens": [7, None]},
        {"added_tokens": {"id": 3}},
        {"post_processor": [1]},
        {"post_processor": {"processors": [3]}},
        {"post_processor": {"single": "$A"}},
        {"post_processor": {"single": [{"Sequence": 3}]}},
    ],
)
def test_with_a_tokenizer_of_another_form_is_left_to_the_tokenizers_library(text_folder, odd):
    config = {"vocab_size": 16, "type_vocab_size": 2}
    folder = text_folder(config, inputs=("input_ids", "token_type_ids"))
    assert open_package(write(folder, "tokenizer.json", **odd))
