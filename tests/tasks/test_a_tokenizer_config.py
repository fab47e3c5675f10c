"""A tokenizer_config.json beside a tokenizer.json ..."""

import json

import pytest
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers

from modelserve.errors import InvalidPackage
from modelserve.tasks import task_for


@pytest.fixture
def tokens(text_package):
    """The tokens of a text, by the name of a tokenizer, or of one of your own, and the configuration."""

    def encode(text, tokenizer="word", **config):
        package = text_package(tokenizer if isinstance(tokenizer, str) else "word")
        if isinstance(tokenizer, Tokenizer):
            tokenizer.save(str(package.path / "tokenizer.json"))
        (package.path / "tokenizer_config.json").write_text(json.dumps(config))
        _, context = task_for(package).prepare(text)
        return context.encoding.tokens

    return encode


@pytest.fixture
def refused(tokens):
    def refuse(tokenizer="word", **config):
        with pytest.raises(InvalidPackage) as caught:
            tokens("a", tokenizer, **config)
        return caught.value.message

    return refuse


def unigram(*parts, **options):
    pieces = [("<unk>", 0.0), ("▁", -1.0), ("a", -2.0), ("▁a", -1.5), ("A", -2.0)]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=0))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*parts, pre_tokenizers.Metaspace(**options)])
    return tokenizer


class TestIsHeeded:
    @pytest.mark.parametrize("name", ["BertTokenizer", "BertTokenizerFast", "DistilBertTokenizer", None])
    def test_in_what_it_says_of_case_and_accents(self, tokens, name):
        named = {"tokenizer_class": name} if name else {}
        plain = tokens("ADA", "lower", **named)
        kept = tokens("ADA", "lower", do_lower_case=False, **named)
        assert plain[1] == "ada"
        assert kept[1] != "ada"
        assert tokens("ada zoe", "lower", **named) == tokens("ADA ZOË", "lower", **named)
        accents = tokens("zoë", "lower", strip_accents=False, **named)
        assert accents == tokens("zoë", "lower", strip_accents=False)
        assert accents[1] == "zoë"

    def test_in_what_it_says_of_chinese(self, tokens):
        assert len(tokens("北京")) == 4
        assert len(tokens("北京", tokenize_chinese_chars=False)) == 3

    def test_in_the_space_before_the_first_word(self, tokens):
        assert tokens("Ada", "byte")[1] == "Ada"
        assert tokens("Ada", "byte", add_prefix_space=True)[1].startswith("Ġ")
        split = pre_tokenizers.WhitespaceSplit()
        assert tokens("a", unigram(split)) == ["▁a"]
        assert tokens("a", unigram(split), add_prefix_space=True) == ["▁a"]
        assert tokens("a", unigram(split), add_prefix_space=False) == ["a"]
        assert tokens("a", unigram(split, prepend_scheme="never"), add_prefix_space=True) == ["▁a"]

    def test_in_which_inputs_it_names(self, text_package):
        package = text_package("word", inputs=("input_ids", "token_type_ids"))
        file = package.path / "tokenizer.json"
        saved = json.loads(file.read_text())
        pieces = [{"SpecialToken": {"id": "[CLS]", "type_id": 2}}, {"Sequence": {"id": "A", "type_id": 0}}]
        known = {"[CLS]": {"id": "[CLS]", "ids": [2], "tokens": ["[CLS]"]}}
        post = {
            "type": "TemplateProcessing", "single": pieces, "pair": pieces, "special_tokens": known
        }  # fmt: skip
        post["pair"] = [*pieces, {"Sequence": {"id": "B", "type_id": 1}}]
        file.write_text(json.dumps(saved | {"post_processor": post}))
        assert task_for(package).prepare("Ada")[0]["token_type_ids"].tolist() == [[2, 0]]
        (package.path / "tokenizer_config.json").write_text('{"model_input_names": ["input_ids"]}')
        assert task_for(package).prepare("Ada")[0]["token_type_ids"].tolist() == [[0, 0]]

    def test_in_no_switch_where_the_tokenizer_takes_no_text(self, tokens, refused):
        bare = Tokenizer(models.Unigram([("b", 0.0)]))
        named = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "b"}
        assert tokens("b", bare, **named) == ["b"]
        assert refused(bare, add_bos_token=True, **named).startswith("tokenizer.json: it takes no text: ")

    @pytest.mark.parametrize("key", ["additional_special_tokens", "extra_special_tokens"])
    @pytest.mark.parametrize("said", [["London", "[SEP]"], {"place": "London"}, [{"content": "London"}]])
    def test_in_which_special_tokens_stand_for_something_in_a_text(self, tokens, key, said):
        """A separator stays text."""
        roles = {"sep_token": "[SEP]"}
        assert tokens("xLondony [SEP]", **{key: said}, **roles).count("London") == 1
        assert "London" not in tokens("xLondony [SEP]", **roles)
        assert tokens("Ada [SEP]", **{key: said}, **roles).count("[SEP]") == 1

    def test_in_no_special_token_that_the_tokenizer_or_the_model_lacks(self, refused, text_package):
        assert refused(extra_special_tokens=["<url>"]).startswith(
            "tokenizer_config.json: extra_special_tokens: '<url>' is not in tokenizer.json; "
        )
        assert refused(extra_special_tokens=[7]).endswith("extra_special_tokens: 7; a token is wanted")
        package = text_package("word")
        (package.path / "tokenizer_config.json").write_text('{"extra_special_tokens": ["London"]}')
        (package.path / "config.json").write_text('{"vocab_size": 5}')
        with pytest.raises(InvalidPackage, match="vocab_size: 5 leaves no embedding for 'London'"):
            task_for(package)

    @pytest.mark.parametrize("content", ["\u200b", "\x00"])
    def test_in_no_added_token_of_which_the_normalizer_leaves_nothing(self, text_package, refused, content):
        """The library panics on most texts then, or never comes back."""
        tokenizer = Tokenizer.from_file(str(text_package("word").path / "tokenizer.json"))
        tokenizer.add_tokens([AddedToken(content, normalized=True)])
        told = refused(tokenizer)
        assert told.startswith(f"tokenizer.json: added_tokens: {content!r}: normalized: True")

    @pytest.mark.parametrize("name", ["PreTrainedTokenizerFast", "TokenizersBackend"])
    def test_by_no_tokenizer_of_the_general_class(self, tokens, name):
        """AutoTokenizer takes its file as it is."""
        assert tokens("ADA", "lower", tokenizer_class=name, do_lower_case=False)[1] == "ada"
        assert tokens("Ada", "byte", tokenizer_class=name, add_prefix_space=True)[1] == "Ada"

    def test_in_nothing_that_is_the_same(self, tokens):
        config = {"do_lower_case": False, "strip_accents": None, "tokenize_chinese_chars": True}
        assert tokens("Ada met Zoë", **config) == tokens("Ada met Zoë")

    @pytest.mark.parametrize(
        "config", [{"padding_side": "left"}, {"truncation_side": "left"}, {"cls_token": {"content": "[CLS]"}}]
    )
    def test_in_nothing_about_padding_and_truncation(self, tokens, config):
        """Texts are neither cut nor padded by the tokenizer."""
        assert tokens("Ada met Zoë", **config) == tokens("Ada met Zoë")


class TestIsRefused:
    @pytest.mark.parametrize("key", ["do_lower_case", "strip_accents", "tokenize_chinese_chars"])
    def test_with_a_switch_that_is_none(self, refused, key):
        said = refused(**{key: "yes"})
        assert said == f"tokenizer_config.json: {key}: 'yes'; true or false is wanted"

    @pytest.mark.parametrize("name", ["BertJapaneseTokenizer", "BertweetTokenizer", "PhobertTokenizerFast"])
    def test_for_a_class_with_rules_of_its_own(self, refused, name):
        said = refused(tokenizer_class=name)
        assert said.startswith(f"tokenizer_config.json: tokenizer_class: {name.removesuffix('Fast')!r} parts")

    def test_for_such_a_class_in_the_model_s_configuration(self, text_package):
        package = text_package()
        (package.path / "config.json").write_text('{"tokenizer_class": "BertJapaneseTokenizer"}')
        with pytest.raises(InvalidPackage, match="tokenizer_class: 'BertJapaneseTokenizer' parts"):
            task_for(package)

    @pytest.mark.parametrize("mapped", [["code.Own", None], {"AutoTokenizer": ["code.Own", None]}])
    def test_for_code_of_its_own(self, refused, mapped):
        assert "tokenizer_config.json: auto_map: " in refused(auto_map=mapped)

    @pytest.mark.parametrize(
        ("name", "key", "does", "does_not"),
        [
            ("Albert", "do_lower_case", normalizers.Lowercase(), normalizers.NFC()),
            ("XLNet", "do_lower_case", normalizers.Lowercase(), None),
            ("Albert", "keep_accents", None, [normalizers.NFD(), normalizers.StripAccents()]),
            ("DebertaV2", "split_by_punct", pre_tokenizers.Punctuation(), None),
        ],
    )
    def test_with_a_switch_that_the_tokenizer_contradicts(self, refused, name, key, does, does_not):
        for part, made in ((does, True), (does_not, False)):
            split = isinstance(part, pre_tokenizers.Punctuation)
            tokenizer = unigram(*([part] if split else []))
            if part is not None and not split:
                tokenizer.normalizer = normalizers.Sequence(part) if isinstance(part, list) else part
            config = {"tokenizer_class": f"{name}TokenizerFast"}
            assert refused(tokenizer, **config, **{key: made}).startswith("tokenizer.json: "), "for the rest"
            said = refused(tokenizer, **config, **{key: not made})
            assert said.startswith(f"tokenizer_config.json: {key}: {not made}, but tokenizer.json does")

    @pytest.mark.parametrize(
        "token",
        [{"content": "[GENE]"}, {"content": "[GENE]", "special": False}, "[GENE]", {"content": "Ada"}, 7],
    )
    def test_for_an_added_token_that_is_not_in_the_tokenizer(self, refused, token):
        assert "added_tokens_decoder: '999': " in refused(added_tokens_decoder={"999": token})

    def test_for_no_special_one(self, tokens):
        """No text can hold it."""
        added = {"999": {"content": "[NEW]", "special": True}}
        assert tokens("Ada", added_tokens_decoder=added) == tokens("Ada")

    @pytest.mark.parametrize(
        ("config", "said"),
        [
            ({"add_bos_token": True, "bos_token": "<s>"}, "add_bos_token: True, but the post_processor"),
            (
                {"add_eos_token": False, "eos_token": {"content": "[SEP]"}},
                "add_eos_token: False, but the post",
            ),
        ],
    )
    def test_for_ends_that_the_tokenizer_does_not_set(self, refused, config, said):
        assert said in refused(**config)


def test_is_not_followed_into_chance(text_package):
    """Tokens that a byte-pair tokenizer leaves out at random while a model is trained."""
    package = text_package("byte")
    file = package.path / "tokenizer.json"
    saved = json.loads(file.read_text())
    saved["model"]["dropout"] = 0.9
    file.write_text(json.dumps(saved))
    task = task_for(package)
    text = "Ada Lovelace met Charles Babbage in London"
    assert len({tuple(task.prepare(text)[1].encoding.ids) for _ in range(20)}) == 1


def test_is_not_needed(text_package):
    assert task_for(text_package("word"))


@pytest.mark.parametrize("content", ["{", "[" * 100_000])
def test_that_is_broken_is_told(text_package, content):
    package = text_package("word")
    (package.path / "tokenizer_config.json").write_text(content)
    with pytest.raises(InvalidPackage, match=r"tokenizer_config\.json: not usable JSON"):
        task_for(package)


def test_outside_of_the_package_is_not_read(text_package, tmp_path_factory):
    package = text_package("word")
    outside = tmp_path_factory.mktemp("outside") / "secret.json"
    outside.write_text('{"auto_map": ["secret", null]}')
    (package.path / "tokenizer_config.json").symlink_to(outside)
    assert task_for(package)
