"""A class that is named for a tokenizer ..."""

import json

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from modelserve.errors import InvalidPackage
from modelserve.tasks.tokenization import load_tokenizer

WAY_OUT = '"tokenizer_class": "PreTrainedTokenizerFast"'


@pytest.fixture
def tokens(text_package):
    """The tokens of a text, by the name of a tokenizer, or one of your own, and the other files."""

    def encode(text, tokenizer="word", model=None, added=None, special=None, **config):
        package = text_package(tokenizer if isinstance(tokenizer, str) else "word")
        if isinstance(tokenizer, Tokenizer):
            tokenizer.save(str(package.path / "tokenizer.json"))
        files = {
            "tokenizer_config.json": config,
            "config.json": model,
            "added_tokens.json": added,
            "special_tokens_map.json": special,
        }
        for name, content in files.items():
            if content is not None:
                (package.path / name).write_text(json.dumps(content))
        return load_tokenizer(package).tokenizer.encode(text).tokens

    return encode


@pytest.fixture
def refused(tokens):
    def refuse(tokenizer="word", **files):
        with pytest.raises(InvalidPackage) as caught:
            tokens("a", tokenizer, **files)
        return caught.value.message

    return refuse


@pytest.fixture
def changed(tokenizers):
    """One of the tokenizers with other parts."""

    def change(name="word", **parts):
        tokenizer = Tokenizer.from_str(tokenizers[name].to_str())
        for key, part in parts.items():
            setattr(tokenizer, key, part)
        return tokenizer

    return change


def rembert(post_processor=None):
    """As the class saves itself: without the tokens at the ends."""
    pieces = [("<pad>", 0.0), ("<unk>", 0.0), ("[CLS]", 0.0), ("[SEP]", 0.0), ("▁a", -1.0), ("▁", -2.0)]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=1))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.post_processor = post_processor
    return tokenizer


def llama(scheme="first"):
    pieces = ("<unk>", "<s>", "</s>", "▁", "a", "▁a")
    vocabulary = {piece: place for place, piece in enumerate(pieces)}
    model = models.BPE(vocabulary, [("▁", "a")], fuse_unk=True, byte_fallback=True)
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=False)
    return tokenizer


class TestSaysWhatIsLeftOut:
    @pytest.mark.parametrize("name", ["Bert", "DistilBert", "Electra", "MobileBert", "LayoutLM"])
    def test_so_that_letters_become_small(self, tokens, name):
        assert tokens("MET", tokenizer_class=f"{name}TokenizerFast")[1] == "met"
        assert tokens("MET", tokenizer_class=f"{name}TokenizerFast", do_lower_case=False)[1] != "met"

    @pytest.mark.parametrize("name", ["Roberta", "Bart", "Longformer"])
    def test_so_that_no_space_precedes_the_first_word(self, tokens, changed, name):
        split = pre_tokenizers.ByteLevel(add_prefix_space=True)
        tokenizer = changed("byte", pre_tokenizer=split)
        assert tokens("Ada", tokenizer)[1].startswith("Ġ")
        assert tokens("Ada", tokenizer, tokenizer_class=f"{name}Tokenizer")[1] == "Ada"

    @pytest.mark.parametrize("config", [{}, {"add_prefix_space": None}, {"add_prefix_space": True}])
    def test_so_that_llama_s_null_is_nothing(self, tokens, config):
        assert tokens("a", llama(), tokenizer_class="LlamaTokenizer", **config) == ["▁a"]
        off = {"tokenizer_class": "LlamaTokenizer", "add_prefix_space": False}
        assert tokens("a", llama(), **off) == ["a"]

    def test_in_config_json_as_well(self, tokens):
        assert tokens("MET", model={"tokenizer_class": "BertTokenizer"})[1] == "met"
        model = {"tokenizer_class": "BertTokenizer"}
        general = {"tokenizer_class": "PreTrainedTokenizerFast"}
        assert tokens("MET", model=model, **general)[1] != "met", "tokenizer_config.json has the first word"

    def test_but_nothing_where_none_is_named(self, tokens):
        assert tokens("MET", model={"model_type": "bert"})[1] != "met"

    def test_so_that_ends_are_put_back(self, tokens):
        assert tokens("a", rembert(), tokenizer_class="RemBertTokenizer") == ["[CLS]", "▁a", "[SEP]"]
        assert tokens("a", rembert()) == ["▁a"]


class TestStandsForTheGeneralOne:
    @pytest.mark.parametrize("name", ["OwnTokenizer", "OwnTokenizerFast", "BloomTokenizerFast", "Own"])
    def test_if_it_is_unknown(self, tokens, name):
        assert tokens("ADA", "lower", tokenizer_class=name, do_lower_case=False)[1] == "ada"

    @pytest.mark.parametrize("kind", ["modernbert", "nystromformer", "xlm-roberta-xl", "umt5", "mistral"])
    def test_by_the_type_of_the_model(self, tokens, kind):
        config = {"tokenizer_class": "BertTokenizer", "do_lower_case": False}
        assert tokens("ADA", "lower", {"model_type": kind}, **config)[1] == "ada"
        assert tokens("ADA", "lower", {"model_type": "bert"}, **config)[1] != "ada"

    def test_where_none_is_named_and_the_type_has_none(self, tokens):
        assert tokens("ADA", "lower", {"model_type": "eurobert"}, do_lower_case=False)[1] == "ada"
        assert tokens("ADA", "lower", {"model_type": "bert"}, do_lower_case=False)[1] != "ada"

    def test_if_it_is_llama_s_with_bytes(self, tokens):
        assert tokens("Ada", "byte", tokenizer_class="LlamaTokenizer", add_prefix_space=True)[1] == "Ada"


class TestIsRefused:
    @pytest.mark.parametrize(
        ("part", "parts"),
        [
            ("normalizer", {"normalizer": None}),
            ("normalizer", {"normalizer": normalizers.NFKC()}),
            ("normalizer", {"normalizer": normalizers.BertNormalizer(clean_text=False, lowercase=False)}),
            ("pre_tokenizer", {"pre_tokenizer": pre_tokenizers.Whitespace()}),
            ("post_processor", {"post_processor": processors.ByteLevel()}),
            ("post_processor", {"post_processor": processors.BertProcessing(("[PAD]", 0), ("[CLS]", 2))}),
            ("post_processor", {"post_processor": processors.BertProcessing(("[SEP]", 2), ("[CLS]", 3))}),
        ],
    )
    def test_where_tokenizer_json_has_another_part(self, refused, tokens, changed, part, parts):
        config = {"tokenizer_class": "BertTokenizer", "do_lower_case": False}
        said = refused(changed(**parts), **config)
        assert said.startswith(f"tokenizer.json: {part}: not what tokenizer_class: 'BertTokenizer' of")
        assert WAY_OUT in said
        assert tokens("Ada", changed(**parts), tokenizer_class="PreTrainedTokenizerFast")
        assert tokens("Ada", changed(**parts)), "no class is named"

    def test_where_words_may_be_of_another_length(self, refused, tokenizers):
        saved = json.loads(tokenizers["word"].to_str())
        saved["model"]["max_input_chars_per_word"] = 5
        said = refused(Tokenizer.from_str(json.dumps(saved)), tokenizer_class="BertTokenizer")
        assert said.startswith("tokenizer.json: model: max_input_chars_per_word: not what ")

    def test_where_the_vocabulary_lacks_the_token_for_what_is_unknown(self, refused):
        """Every unknown word would fail."""
        said = refused(tokenizer_class="BertTokenizer", unk_token="<unk>")
        assert said.startswith("tokenizer.json: model: unk_token: not what ")

    def test_where_the_vocabulary_is_of_another_kind(self, refused):
        assert refused("byte", tokenizer_class="BertTokenizer").startswith("tokenizer.json: model: type: ")

    def test_where_the_ends_are_other_tokens_than_the_configuration_names(self, refused, tokens):
        said = refused(tokenizer_class="BertTokenizer", cls_token="[PAD]")
        assert said.startswith("tokenizer.json: post_processor: ")
        said = refused(tokenizer_class="BertTokenizer", special={"sep_token": {"content": "[PAD]"}})
        assert said.startswith("tokenizer.json: post_processor: ")
        saved = {"special": {"sep_token": "[PAD]"}, "added_tokens_decoder": {}}
        assert tokens("ada", tokenizer_class="BertTokenizer", **saved), "the older file is not read, then"

    def test_where_a_space_is_put_before_words_otherwise(self, refused):
        said = refused(llama("never"), tokenizer_class="LlamaTokenizer")
        assert said.startswith("tokenizer.json: pre_tokenizer: ")

    def test_that_the_type_of_the_model_stands_for(self, refused):
        """No other class would be heeded."""
        said = refused("byte", model={"model_type": "qwen2"}, tokenizer_class="PreTrainedTokenizerFast")
        assert said.startswith(
            "tokenizer.json: pre_tokenizer: not what model_type: 'qwen2' of config.json makes"
        )
        assert WAY_OUT not in said

    @pytest.mark.parametrize("value", [["BertTokenizer", None], 7, {}])
    def test_if_it_is_no_name(self, refused, value):
        said = refused(tokenizer_class=value)
        assert said == f"tokenizer_config.json: tokenizer_class: {value!r}; the name of a class is wanted"

    @pytest.mark.parametrize(
        ("tokenizer", "name", "key", "value"),
        [
            ("word", "BertTokenizer", "do_lower_case", None),
            ("word", "BertTokenizer", "tokenize_chinese_chars", None),
            ("word", "BertTokenizer", "do_lower_case", 1),
            ("word", None, "do_lower_case", None),
            ("word", None, "tokenize_chinese_chars", None),
            ("byte", "RobertaTokenizer", "add_prefix_space", None),
            ("byte", "GPT2Tokenizer", "add_prefix_space", None),
            ("byte", None, "add_prefix_space", None),
            ("byte", "RobertaTokenizer", "add_prefix_space", "false"),
        ],
    )
    def test_with_a_switch_that_is_none(self, refused, tokenizer, name, key, value):
        named = {"tokenizer_class": name} if name else {}
        said = refused(tokenizer, **named, **{key: value})
        assert said == f"tokenizer_config.json: {key}: {value!r}; true or false is wanted"

    @pytest.mark.parametrize("value", [None, 7, ["[CLS]"], {}])
    def test_with_an_end_that_is_no_token(self, refused, value):
        said = refused(tokenizer_class="BertTokenizer", cls_token=value)
        assert said == f"tokenizer_config.json: cls_token: {value!r}; a token is wanted"


class TestAddedTokens:
    FLAGS = ("single_word", "lstrip", "rstrip", "normalized")

    @pytest.fixture
    def gene(self, tokenizers):
        tokenizer = Tokenizer.from_str(tokenizers["word"].to_str())
        tokenizer.add_tokens(["[GENE]"])
        return tokenizer

    def test_of_an_older_file_must_be_known(self, refused, tokens, gene):
        place = gene.token_to_id("[GENE]")
        assert "[GENE]" in tokens("Ada [GENE]", gene, added={"[GENE]": place})
        for tokenizer, at in (("word", place), (gene, place + 1)):
            said = refused(tokenizer, added={"[GENE]": at})
            assert said.startswith(f"added_tokens.json: '[GENE]': {at} is not among the added_tokens of")

    def test_of_an_older_file_count_for_nothing_beside_newer_ones(self, tokens):
        assert tokens("Ada", added={"[GENE]": 999}, added_tokens_decoder={})

    @pytest.mark.parametrize("flag", FLAGS)
    def test_must_have_the_same_flags(self, refused, tokens, gene, flag):
        place = str(gene.token_to_id("[GENE]"))
        token = {"content": "[GENE]", **dict.fromkeys(self.FLAGS, False), "normalized": True}
        assert "[GENE]" in tokens("Ada [GENE]", gene, added_tokens_decoder={place: token})
        said = refused(gene, added_tokens_decoder={place: token | {flag: not token[flag]}})
        assert said.startswith(f"tokenizer_config.json: added_tokens_decoder: {place!r}: {flag}: ")

    def test_must_be_special_in_both_files(self, refused, gene):
        """A special one is in no text."""
        place = str(gene.token_to_id("[GENE]"))
        token = {"content": "[GENE]", "special": True, "normalized": True}
        assert ": special: True, but" in refused(gene, added_tokens_decoder={place: token})

    def test_must_be_listed_for_a_class_that_makes_the_tokenizer_anew(self, refused, tokens, gene):
        said = refused(gene, tokenizer_class="BertTokenizer", added_tokens_decoder={})
        assert said.startswith("tokenizer.json: added_tokens: '[GENE]' (")
        assert tokens("Ada", gene, tokenizer_class="BertTokenizer")
        assert tokens("Ada", gene, tokenizer_class="PreTrainedTokenizerFast", added_tokens_decoder={})

    @pytest.mark.parametrize("value", [None, [], "[GENE]"])
    def test_must_be_listed_by_their_places(self, refused, value):
        said = refused(added_tokens_decoder=value)
        assert said == f"tokenizer_config.json: added_tokens_decoder: {value!r}; an object {{...}} is wanted"


def test_model_input_names_must_be_names(refused):
    assert refused(model_input_names=7).endswith("model_input_names: 7; a list of names is wanted")


def test_or_a_tokenizer_on_which_the_library_panics_is_refused(text_package, tokenizers):
    saved = json.loads(tokenizers["byte"].to_str())
    saved["model"]["continuing_subword_prefix"] = "@@"
    package = text_package("byte")
    (package.path / "tokenizer.json").write_text(json.dumps(saved))
    with pytest.raises(InvalidPackage, match=r"tokenizer\.json: the tokenizers library refuses it: "):
        load_tokenizer(package)
