"""What the classes of transformers 5.24 make of a vocabulary, whatever else tokenizer.json says.

A recipe says which parts a class puts around the vocabulary, by the switches of tokenizer_config.json; what a
switch means where it is left out or null is the class's own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from tokenizers import Regex, normalizers, pre_tokenizers

from modelserve.tasks.tokenizing.files import Files, State, flag, flag_or_none, number, token
from modelserve.tasks.tokenizing.parts import part_of, pieces, state_of

Parts = tuple[State | None, State | None]
"""A normalizer and a pre_tokenizer, as tokenizer.json writes them."""
End = tuple[str, int]
"""A token and its type."""


class Ends(NamedTuple):
    """What is put before and after each text."""

    first: tuple[End, ...] = ()
    last: tuple[End, ...] = ()


class Recipe(NamedTuple):
    """What a class makes.

    ``settings`` are the model's where the class has its own; those in ``fixed`` must be so in tokenizer.json.
    Without ``parts`` or ``ends``, the class keeps those of tokenizer.json.
    """

    model: str
    parts: Callable[[Files], Parts] | None
    ends: Callable[[Files], Ends] | None
    settings: Callable[[Files], State]
    fixed: State
    sets_ends: bool = False
    """Whether the class puts ends where tokenizer.json has none: its own files are so."""


def _state(*parts: Any, kind: str) -> State:
    """Parts that follow one another, as tokenizer.json writes them."""
    states: list[Any] = [part if isinstance(part, dict) else state_of(part) for part in parts]
    state: State = states[0] if len(states) == 1 else {"type": "Sequence", kind: states}
    return state


def _normal(*parts: Any) -> State | None:
    return _state(*parts, kind="normalizers") if parts else None


def _split(*parts: Any) -> State:
    return _state(*parts, kind="pretokenizers")


def _charsmap(files: Files) -> list[State]:
    """The first table of characters of tokenizer.json; SentencePiece's classes keep it."""
    normalizer = files.tokenizer.get("normalizer") or {}
    parts = normalizer.get("normalizers", [normalizer])
    return [part for part in parts if part.get("type") == "Precompiled"][:1]


def _bert(files: Files, clean: bool = True) -> Parts:
    normalizer = normalizers.BertNormalizer(
        clean_text=clean,
        handle_chinese_chars=flag(files.config, "tokenize_chinese_chars", True),
        strip_accents=flag_or_none(files.config, "strip_accents"),
        lowercase=flag(files.config, "do_lower_case", True),
    )
    return _normal(normalizer), _split(pre_tokenizers.BertPreTokenizer())


def _funnel(files: Files) -> Parts:
    return _bert(files, flag(files.config, "clean_text", True))


def _herbert(files: Files) -> Parts:
    normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=False)
    return _normal(normalizer), _split(pre_tokenizers.BertPreTokenizer())


def _bytes(files: Files) -> Parts:
    prefix = flag(files.config, "add_prefix_space", False)
    return None, _split(pre_tokenizers.ByteLevel(add_prefix_space=prefix))


def _composed_bytes(files: Files) -> Parts:
    return _normal(normalizers.NFC()), _bytes(files)[1]


def _qwen(*wanted: str) -> Callable[[Files], Parts]:
    """The expression that parts texts is tokenizer.json's, if it parts one text as the class does."""

    def parts(files: Files) -> Parts:
        prefix = flag(files.config, "add_prefix_space", False, null=False)
        splitter = pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=False)
        saved = (files.tokenizer.get("pre_tokenizer") or {}).get("pretokenizers", [])[:1]
        text = "".join(wanted)
        kept = [part for part in saved if pieces(None, part_of("pre_tokenizer", part), text) == [*wanted]]
        return _normal(normalizers.NFC()), _split(*kept, splitter)

    return parts


def _space(files: Files, off: str = "never", null: bool = False) -> Any:
    prefix = flag(files.config, "add_prefix_space", True, null=null)
    return pre_tokenizers.Metaspace(prepend_scheme="always" if prefix else off)


def _xlm_roberta(files: Files) -> Parts:
    return _normal(*_charsmap(files)), _split(pre_tokenizers.WhitespaceSplit(), _space(files))


def _t5(files: Files) -> Parts:
    return _normal(*_charsmap(files)), _split(pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace())


_QUOTES = (normalizers.Replace("``", '"'), normalizers.Replace("''", '"'))
_NO_ACCENTS = (normalizers.NFKD(), normalizers.StripAccents())
_SPACES = (
    normalizers.Replace(Regex(r"\s{2,}|[\n\r\t]"), " "),
    normalizers.NFC(),
    normalizers.Strip(left=False, right=True),
)


def _letters(files: Files, lower: bool, accents: bool) -> list[Any]:
    """What a class with ``do_lower_case`` and ``keep_accents`` does; these are its defaults."""
    kept = flag(files.config, "keep_accents", accents, null=False)
    lowered = flag(files.config, "do_lower_case", lower, null=False)
    return [*(() if kept else _NO_ACCENTS), *((normalizers.Lowercase(),) if lowered else ())]


def _albert(files: Files) -> Parts:
    normalizer = _normal(*_QUOTES, *_letters(files, True, False), *_charsmap(files))
    return normalizer, _split(pre_tokenizers.WhitespaceSplit(), _space(files))


def _rembert(files: Files) -> Parts:
    single = normalizers.Replace(Regex(" {2,}"), " ")
    normalizer = _normal(*_QUOTES, single, *_letters(files, False, True), *_charsmap(files))
    return normalizer, _split(_space(files))


def _deberta_v2(files: Files) -> Parts:
    lowered = flag(files.config, "do_lower_case", False, null=False)
    signs = flag(files.config, "split_by_punct", False, null=False)
    return (
        _normal(*((normalizers.Lowercase(),) if lowered else ()), *_SPACES),
        _split(*((pre_tokenizers.Punctuation(),) if signs else ()), _space(files, "first")),
    )


def _xlnet(files: Files) -> Parts:
    lowered = flag(files.config, "do_lower_case", False, null=False)
    lower = (normalizers.Lowercase(),) if lowered else ()
    normalizer = _normal(*_QUOTES, *_NO_ACCENTS, *lower, *_charsmap(files))
    return normalizer, _split(pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace())


def _big_bird(files: Files) -> Parts:
    spaces = (normalizers.Strip(left=False, right=False), normalizers.Replace(Regex(" {2,}"), "\u2581"))
    return _normal(*spaces), _split(_space(files))


def _barthez(files: Files) -> Parts:
    return _normal(*_SPACES), _split(_space(files))


def _llama(files: Files) -> Parts:
    prefix = flag(files.config, "add_prefix_space", True, null=True)
    legacy = flag(files.config, "legacy", False, null=False)
    scheme = ("always" if legacy else "first") if prefix else "never"
    return None, _split(pre_tokenizers.Metaspace(prepend_scheme=scheme, split=False))


def _gemma(files: Files) -> Parts:
    splitter = pre_tokenizers.Split(" ", "merged_with_previous")
    return _normal(normalizers.Replace(" ", "\u2581")), _split(splitter)


def _around(
    first: str, last: str, keys: tuple[str, str] = ("cls_token", "sep_token"), kind: int = 0
) -> Callable[[Files], Ends]:
    """One token before and one after; ``first`` and ``last`` are the class's own, ``kind`` a type."""
    return lambda files: Ends(((token(files, keys[0], first), kind),), ((token(files, keys[1], last), 0),))


def _bare(files: Files) -> Ends:
    return Ends()


def _end(files: Files) -> Ends:
    return Ends((), ((token(files, "eos_token", "</s>"), 0),))


def _xlnet_ends(files: Files) -> Ends:
    return Ends((), ((token(files, "sep_token", "<sep>"), 0), (token(files, "cls_token", "<cls>"), 2)))


def _word_piece(
    unknown: str, ends: Callable[[Files], Ends], parts: Callable[[Files], Parts] = _bert
) -> Recipe:
    fixed = {"max_input_chars_per_word": 100, "continuing_subword_prefix": "##"}
    return Recipe(
        "WordPiece", parts, ends, lambda files: {"unk_token": token(files, "unk_token", unknown)}, fixed
    )


def _byte_pairs(ends: Callable[[Files], Ends] | None, parts: Callable[[Files], Parts] = _bytes) -> Recipe:
    settings = {"unk_token": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False}
    fixed = {"continuing_subword_prefix": None, "end_of_word_suffix": None}
    return Recipe("BPE", parts, ends, lambda files: settings, fixed)


def _unigram(
    parts: Callable[[Files], Parts],
    ends: Callable[[Files], Ends] | None,
    unknown: Callable[[Files], int],
    sets_ends: bool = False,
) -> Recipe:
    def settings(files: Files) -> State:
        return {"unk_id": unknown(files), "byte_fallback": False}

    return Recipe("Unigram", parts, ends, settings, {}, sets_ends)


def _place(files: Files, unknown: str, otherwise: int, score: bool) -> int:
    """Where the unknown token stands in the vocabulary, as the class finds it."""
    name = token(files, "unk_token", unknown)
    for place, (piece, its) in enumerate(files.tokenizer["model"].get("vocab") or []):
        if piece == name and (its == 0.0 or not score):
            return place
    return otherwise


def _paired(unknown: bool) -> Callable[[Files], State]:
    """SentencePiece with merges: bytes stand for characters that no piece has."""
    return lambda files: {
        "unk_token": token(files, "unk_token", "<unk>") if unknown else None,
        "fuse_unk": True, "byte_fallback": True, "ignore_merges": False,
    }  # fmt: skip


_BERT = _word_piece("[UNK]", _around("[CLS]", "[SEP]"))
_ROBERTA = _byte_pairs(_around("<s>", "</s>"))
_NO_AFFIXES: State = {"continuing_subword_prefix": None, "end_of_word_suffix": None}
_BEGIN_AND_END = _around("<s>", "</s>", ("bos_token", "eos_token"))

RECIPES: dict[str, Recipe] = {
    **dict.fromkeys(
        (
            "Bert", "DistilBert", "Electra", "LayoutLM", "Lxmert", "MobileBert", "SqueezeBert"
        ),
        _BERT,
    ),
    "ConvBert": Recipe("WordPiece", None, _around("[CLS]", "[SEP]"), lambda files: {}, {}),
    "MPNet": _word_piece("[UNK]", _around("<s>", "</s>")),
    "Funnel": _word_piece("<unk>", _around("<cls>", "<sep>", kind=2), _funnel),
    "Splinter": _BERT,
    "Herbert": Recipe(
        "BPE", _herbert, _around("<s>", "</s>"),
        lambda files: _paired(True)(files) | {"fuse_unk": False, "byte_fallback": False},
        {"end_of_word_suffix": "</w>"},
    ),
    **dict.fromkeys(("Roberta", "Bart", "Longformer", "LED", "Mvp"), _ROBERTA),
    "Deberta": _byte_pairs(_around("[CLS]", "[SEP]")),
    "GPT2": _byte_pairs(None),
    "GPTNeoX": _byte_pairs(_bare, _composed_bytes),
    "Qwen2": _byte_pairs(None, _qwen("1", "2", " A", "'S", " a", "\u0301b")),
    "Qwen3_5": _byte_pairs(None, _qwen("1", "2", " A", "'S", " a\u0301b")),
    "XLMRoberta": _unigram(_xlm_roberta, _BEGIN_AND_END, lambda files: 3),
    "Camembert": _unigram(_xlm_roberta, _BEGIN_AND_END, lambda files: _place(files, "<unk>", 0, False)),
    "Barthez": _unigram(_barthez, None, lambda files: 3),
    "Albert": _unigram(_albert, _around("[CLS]", "[SEP]"), lambda files: 1),
    "RemBert": _unigram(_rembert, _around("[CLS]", "[SEP]"), lambda files: 2, sets_ends=True),
    "DebertaV2": _unigram(
        _deberta_v2, _around("[CLS]", "[SEP]"),
        lambda files: _place(files, "[UNK]", number(files.config, "unk_id", 1), True),
    ),
    "XLNet": _unigram(_xlnet, _xlnet_ends, lambda files: number(files.config, "unk_id", 0)),
    "BigBird": _unigram(
        _big_bird, _around("[CLS]", "[SEP]"), lambda files: _place(files, "<unk>", 100, True)
    ),
    "T5": _unigram(_t5, _end, lambda files: 2),
    "Llama": Recipe("BPE", _llama, None, _paired(False), _NO_AFFIXES),
    "Gemma": Recipe("BPE", _gemma, None, _paired(True), _NO_AFFIXES),
}  # fmt: skip
"""By the name of the class, without ``Tokenizer``."""
