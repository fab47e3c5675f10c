"""Tokens are those of AutoTokenizer, whatever the files of a folder say, or the folder is refused."""

import json
import shutil
from functools import cache
from types import SimpleNamespace

import pytest
import transformers as hf
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from modelserve.errors import InvalidPackage
from modelserve.tasks.tokenization import load_tokenizer
from tests.oracle import texts

ALL = (*texts.PLAIN, *texts.SIGNED, *texts.OTHERS, "met [NEW] Ada", "``quoted'' \u2581 \u0007")
WORDS, BYTES, PIECES = texts.word_pieces, texts.byte_pairs, texts.unigrams
SINGLE = "\u2581abcdefghijklmnopqrstuvwxyzABCDEFGHILMNOPRSTUVYZ.,'"


def pairs(*special, merged=("\u2581A", "\u2581Ad", "\u2581i")):
    """Vocabulary and merges of Llama's kind."""
    pieces = [*special, *merged, *SINGLE, *(f"<0x{byte:02X}>" for byte in range(256))]
    merges = [("\u2581", "A"), ("\u2581A", "d"), ("\u2581", "i")]
    return {"vocab": {piece: place for place, piece in enumerate(pieces)}, "merges": merges}


def ends_of_words():
    """Vocabulary of HerBERT's kind."""
    letters = SINGLE[1:]
    pieces = [*texts.ROBERTA, *letters, *(f"{letter}</w>" for letter in letters)]
    return {piece: place for place, piece in enumerate(pieces)}


OF_PIECES = ("<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]")
SAVED = texts.TOKENIZERS | {
    "albert-lower": lambda: hf.AlbertTokenizer(vocab=PIECES(OF_PIECES)),
    "barthez": lambda: hf.BarthezTokenizer(vocab=PIECES(("<s>", "<pad>", "</s>", "<unk>"))),
    "bart": lambda: hf.BartTokenizer(**BYTES()),
    "big-bird": lambda: hf.BigBirdTokenizer(
        vocab=PIECES(("<pad>", "</s>", "<s>", "<unk>", "[SEP]", "[MASK]", "[CLS]"))
    ),
    "codegen": lambda: hf.CodeGenTokenizer(**BYTES(("<|endoftext|>",))),
    "convbert": lambda: hf.ConvBertTokenizer(vocab=WORDS(True)),
    "deberta-v2-lower": lambda: hf.DebertaV2Tokenizer(
        vocab=PIECES(("[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]")), do_lower_case=True, split_by_punct=True
    ),
    "fnet": lambda: hf.FNetTokenizer(vocab=PIECES(OF_PIECES)),
    "funnel": lambda: hf.FunnelTokenizer(vocab=WORDS(True, ("<pad>", "<unk>", "<cls>", "<sep>", "<mask>"))),
    "gemma": lambda: hf.GemmaTokenizer(**pairs("<pad>", "<eos>", "<bos>", "<unk>")),
    "general": lambda: hf.PreTrainedTokenizerFast(tokenizer_object=hf.RobertaTokenizer(**BYTES())._tokenizer),
    "gpt2": lambda: hf.GPT2Tokenizer(**BYTES(("<|endoftext|>",))),
    "gpt2-begun": lambda: hf.GPT2Tokenizer(**BYTES(("<|endoftext|>",)), add_bos_token=True),
    "gpt-neox": lambda: hf.GPTNeoXTokenizer(**BYTES(("<|endoftext|>", "<|padding|>"))),
    "herbert": lambda: hf.HerbertTokenizer(vocab=ends_of_words(), merges=[]),
    "layoutlm": lambda: hf.LayoutLMTokenizer(vocab=WORDS(True)),
    "led": lambda: hf.LEDTokenizer(**BYTES()),
    "llama": lambda: hf.LlamaTokenizer(**pairs("<unk>", "<s>", "</s>")),
    "llama-ended": lambda: hf.LlamaTokenizer(
        **pairs("<unk>", "<s>", "</s>"), add_bos_token=False, add_eos_token=True
    ),
    "llama-prefix": lambda: hf.LlamaTokenizer(**pairs("<unk>", "<s>", "</s>"), add_prefix_space=False),
    "longformer": lambda: hf.LongformerTokenizer(**BYTES()),
    "luke": lambda: hf.LukeTokenizer(**BYTES()),
    "lxmert": lambda: hf.LxmertTokenizer(vocab=WORDS(True)),
    "mobilebert": lambda: hf.MobileBertTokenizer(vocab=WORDS(True)),
    "mpnet-cased": lambda: hf.MPNetTokenizer(
        vocab=WORDS(False, ("<s>", "<pad>", "</s>", "[UNK]", "<mask>")), do_lower_case=False
    ),
    "qwen2": lambda: hf.Qwen2Tokenizer(**BYTES(("<|endoftext|>",))),
    "qwen3.5": lambda: hf.Qwen3_5Tokenizer(**BYTES(("<|endoftext|>",))),
    "rembert": lambda: hf.RemBertTokenizer(vocab=PIECES(OF_PIECES)),
    "splinter": lambda: hf.SplinterTokenizer(vocab=WORDS(True, (*texts.BERT, "[QUESTION]"))),
    "squeezebert": lambda: hf.SqueezeBertTokenizer(vocab=WORDS(True)),
    "t5": lambda: hf.T5Tokenizer(vocab=PIECES(("<pad>", "</s>", "<unk>"))),
    "xlnet": lambda: hf.XLNetTokenizer(
        vocab=PIECES(("<unk>", "<s>", "</s>", "<cls>", "<sep>", "<pad>", "<mask>", "<eod>", "<eop>"))
    ),
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder with this tokenizer, as the library saves it."""

    @cache
    def save(name):
        folder = tmp_path_factory.mktemp(name)
        SAVED[name]().save_pretrained(folder)
        (folder / "config.json").write_text(json.dumps({"model_type": "bert"}))
        return folder

    return save


@pytest.fixture
def folder_of(saved, tmp_path):
    """Such a folder, with changed keys of its files; a key that becomes ``...`` is left out."""

    def change(name, tokenizer=None, model=None, **config):
        folder = tmp_path / name
        shutil.copytree(saved(name), folder)
        changes = {"tokenizer.json": tokenizer, "config.json": model, "tokenizer_config.json": config}
        for file, keys in changes.items():
            found = json.loads((folder / file).read_text())
            for path, value in (keys or {}).items():
                *parents, key = path.split("/")
                part = found
                for parent in parents:
                    part = part[int(parent) if parent.isdigit() else parent]
                part[key] = value
                if value is ...:
                    del part[key]
            (folder / file).write_text(json.dumps(found))
        return folder

    return change


def ours(folder):
    return load_tokenizer(SimpleNamespace(path=folder)).tokenizer


def same(folder):
    tokenizer, theirs = ours(folder), AutoTokenizer.from_pretrained(folder)
    for text in ALL:
        found, wanted = tokenizer.encode(text), theirs(text)
        assert found.ids == wanted["input_ids"], text
        assert found.type_ids == wanted.get("token_type_ids", found.type_ids), text


@pytest.mark.parametrize("name", SAVED)
def test_as_the_library_saves_them(saved, name):
    same(saved(name))


@pytest.mark.parametrize("name", ["bert-cased", "roberta", "xlm-roberta", "deberta-v2"])
@pytest.mark.parametrize("key", ["extra_special_tokens", "additional_special_tokens"])
def test_with_special_tokens_that_stand_for_something_in_a_text(tmp_path, name, key):
    theirs = SAVED[name]()
    theirs.add_special_tokens({key: ["{{USER}}", "<url>"]})
    theirs.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    tokenizer = ours(tmp_path)
    for text in ("{{USER}} met Ada at <url>", "Ada{{USER}}met<url>.", "{{USER}} {{USER}}", "<URL> {USER}"):
        assert tokenizer.encode(text).ids == theirs(text)["input_ids"], text
        assert tokenizer.encode(text).offsets == theirs(text, return_offsets_mapping=True)["offset_mapping"]


CHANGES = [
    ("bert-cased", {"do_lower_case": ...}),
    ("bert-cased", {"do_lower_case": ..., "tokenizer_class": "ElectraTokenizerFast"}),
    ("bert-cased", {"do_lower_case": ..., "tokenizer_class": "DistilBertTokenizerFast"}),
    ("bert-cased", {"do_lower_case": True, "tokenizer_class": "ConvBertTokenizer"}),
    ("bert-cased", {"strip_accents": None}),
    ("bert-cased", {"do_lower_case": True, "tokenizer_class": "OwnTokenizerFast"}),
    ("roberta-prefix", {"add_prefix_space": ...}),
    ("roberta-prefix", {"add_prefix_space": ..., "tokenizer_class": "BartTokenizer"}),
    ("roberta", {"add_prefix_space": True, "tokenizer_class": "BloomTokenizerFast"}),
    ("roberta", {"add_prefix_space": True, "tokenizer_class": "OwnTokenizer"}),
    ("xlm-roberta", {"add_prefix_space": False, "tokenizer_class": "OwnTokenizer"}),
    ("xlm-roberta", {"add_prefix_space": None}),
    ("albert-lower", {"keep_accents": None, "add_prefix_space": None}),
    ("albert", {"do_lower_case": None}),
    ("deberta-v2", {"do_lower_case": None, "split_by_punct": None, "add_prefix_space": None}),
    ("codegen", {"add_prefix_space": True}),
    ("luke", {"add_prefix_space": True}),
    ("fnet", {"do_lower_case": False}),
    ("llama", {"add_prefix_space": ...}),
    ("llama", {"add_prefix_space": None}),
    ("llama", {"legacy": True}),
    ("qwen2", {"add_prefix_space": None}),
    ("qwen2", {"add_prefix_space": True}),
]


@pytest.mark.parametrize(("name", "config"), CHANGES)
def test_when_a_switch_says_otherwise(folder_of, name, config):
    """Than tokenizer.json, or says nothing."""
    same(folder_of(name, **config))


@pytest.mark.parametrize(
    ("name", "kind", "config"),
    [
        ("bert-cased", "modernbert", {"do_lower_case": True}),
        ("bert-cased", "nystromformer", {"do_lower_case": True}),
        ("bert-cased", "eurobert", {"do_lower_case": True, "tokenizer_class": ...}),
        ("bert-cased", "bloom", {"do_lower_case": True, "tokenizer_class": ...}),
        ("roberta", "phi3", {"add_prefix_space": True}),
        ("roberta", "stablelm", {"add_prefix_space": True, "tokenizer_class": ...}),
        ("roberta", "mistral", {"add_prefix_space": True}),
        ("xlm-roberta", "xlm-roberta-xl", {"add_prefix_space": False}),
        ("xlm-roberta", "umt5", {"add_prefix_space": False}),
        ("gpt2", "llama", {"add_prefix_space": True, "tokenizer_class": "LlamaTokenizer"}),
        ("bert-cased", "roberta", {"do_lower_case": True}),
    ],
)
def test_for_types_of_models_whatever_class_is_named(folder_of, name, kind, config):
    same(folder_of(name, model={"model_type": kind}, **config))


TYPES = sorted(hf.models.auto.modeling_auto.MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES)
OWN = {"qwen2": "qwen2", "qwen3_5": "qwen3.5"}
"""Types of models with a class of their own, whatever is named."""


@pytest.mark.parametrize("kind", TYPES)
def test_for_every_type_of_model_that_classifies_tokens(folder_of, kind):
    name, config = (OWN[kind], {}) if kind in OWN else ("bert-cased", {"do_lower_case": True})
    same(folder_of(name, model={"model_type": kind}, tokenizer_class="BertTokenizer", **config))


@pytest.mark.parametrize(
    ("name", "tokenizer"),
    [
        ("bert-uncased", {"normalizer/strip_accents": False}),
        ("xlm-roberta", {"pre_tokenizer": {
            "type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": True}}),
        ("deberta-v2", {"normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Strip", "strip_left": False, "strip_right": True},
            {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "\u2581"}]}}),
        ("llama", {"pre_tokenizer": None, "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "\u2581"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]},
            "model/unk_token": "<unk>"}),
        ("rembert", {"model/unk_id": 1}),
        ("roberta", {"model/ignore_merges": True}),
    ],
)  # fmt: skip
def test_where_older_versions_made_tokenizer_json_otherwise(folder_of, name, tokenizer):
    """The same of plain texts, that is: they are served, with what the class makes of others."""
    same(folder_of(name, tokenizer))


REFUSED = [
    ("bert-cased", "normalizer", {"normalizer/clean_text": False}),
    ("bert-cased", "normalizer", {"normalizer": None}),
    ("bert-cased", "pre_tokenizer", {"pre_tokenizer": {"type": "WhitespaceSplit"}}),
    ("bert-cased", "post_processor", {"post_processor": None}),
    ("bert-cased", "model: max_input_chars_per_word", {"model/max_input_chars_per_word": 5}),
    ("roberta", "normalizer", {"normalizer": {"type": "Lowercase"}}),
    ("roberta", "post_processor", {"post_processor": None}),
    ("roberta", "pre_tokenizer", {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [
        {"type": "Digits", "individual_digits": True},
        {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}]}}),
    ("xlm-roberta", "pre_tokenizer", {"pre_tokenizer/pretokenizers/1/prepend_scheme": "never"}),
    ("xlm-roberta", "normalizer", {"normalizer": {"type": "Lowercase"}}),
    ("camembert", "post_processor", {"post_processor": None}),
    ("qwen2", "pre_tokenizer", {"pre_tokenizer/pretokenizers/0/pattern": {"Regex": "[0-9]+|[^0-9]+"}}),
    ("gpt2", "pre_tokenizer", {"pre_tokenizer": {"type": "Whitespace"}}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "part", "tokenizer"), REFUSED)
def test_or_a_tokenizer_json_that_the_class_contradicts_is_refused(folder_of, name, part, tokenizer):
    """The library answers with other tokens than the file's: one of the two is wrong."""
    leave_out = {"add_prefix_space": ...} if name == "xlm-roberta" else {}
    folder = folder_of(name, tokenizer, **leave_out)
    file, theirs = Tokenizer.from_file(str(folder / "tokenizer.json")), AutoTokenizer.from_pretrained(folder)
    assert any(file.encode(text).ids != theirs(text)["input_ids"] for text in ALL)
    with pytest.raises(InvalidPackage) as caught:
        ours(folder)
    assert caught.value.message.startswith(f"tokenizer.json: {part}: ")
    file = folder / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"tokenizer_class": "PreTrainedTokenizerFast"}))
    same(folder)
