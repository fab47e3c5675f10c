"""What the classes of transformers 5.24 make of a vocabulary, whatever else tokenizer.json says.

A recipe says which parts a class puts around the vocabulary, by the switches of tokenizer_config.json; what a
switch means where it is left out or null is the class's own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from modelserve.tasks.tokenizing import class_parts as made
from modelserve.tasks.tokenizing.class_parts import Parts
from modelserve.tasks.tokenizing.files import Files, State, number, token

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
    unknown: str, ends: Callable[[Files], Ends], parts: Callable[[Files], Parts] = made.bert_parts
) -> Recipe:
    fixed = {"max_input_chars_per_word": 100, "continuing_subword_prefix": "##"}
    return Recipe(
        "WordPiece", parts, ends, lambda files: {"unk_token": token(files, "unk_token", unknown)}, fixed
    )


def _byte_pairs(
    ends: Callable[[Files], Ends] | None, parts: Callable[[Files], Parts] = made.bytes_parts
) -> Recipe:
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
        ("Bert", "DistilBert", "Electra", "LayoutLM", "Lxmert", "MobileBert", "Splinter", "SqueezeBert"),
        _BERT,
    ),
    "ConvBert": Recipe("WordPiece", None, _around("[CLS]", "[SEP]"), lambda files: {}, {}),
    "MPNet": _word_piece("[UNK]", _around("<s>", "</s>")),
    "Funnel": _word_piece("<unk>", _around("<cls>", "<sep>", kind=2), made.funnel_parts),
    "Herbert": Recipe(
        "BPE", made.herbert_parts, _around("<s>", "</s>"),
        lambda files: _paired(True)(files) | {"fuse_unk": False, "byte_fallback": False},
        {"continuing_subword_prefix": None, "end_of_word_suffix": "</w>"},
    ),
    **dict.fromkeys(("Roberta", "Bart", "Longformer", "LED", "Luke", "Mvp"), _ROBERTA),
    "Deberta": _byte_pairs(_around("[CLS]", "[SEP]")),
    "CodeGen": _byte_pairs(None),
    "GPT2": _byte_pairs(None),
    "GPTNeoX": _byte_pairs(_bare, made.composed_bytes_parts),
    "Qwen2": _byte_pairs(None, made.qwen_parts("1", "2", " A", "'S", " a", "\u0301b")),
    "Qwen3_5": _byte_pairs(None, made.qwen_parts("1", "2", " A", "'S", " a\u0301b")),
    "XLMRoberta": _unigram(made.xlm_roberta_parts, _BEGIN_AND_END, lambda files: 3),
    "Camembert": _unigram(
        made.xlm_roberta_parts, _BEGIN_AND_END, lambda files: _place(files, "<unk>", 0, False)
    ),
    "Barthez": _unigram(made.barthez_parts, None, lambda files: 3),
    "Albert": _unigram(made.albert_parts, _around("[CLS]", "[SEP]"), lambda files: 1),
    "RemBert": _unigram(made.rembert_parts, _around("[CLS]", "[SEP]"), lambda files: 2, sets_ends=True),
    "DebertaV2": _unigram(
        made.deberta_v2_parts, _around("[CLS]", "[SEP]"),
        lambda files: _place(files, "[UNK]", number(files.config, "unk_id", 1), True),
    ),
    "XLNet": _unigram(made.xlnet_parts, _xlnet_ends, lambda files: number(files.config, "unk_id", 0)),
    "BigBird": _unigram(
        made.big_bird_parts, _around("[CLS]", "[SEP]"), lambda files: _place(files, "<unk>", 100, True)
    ),
    "T5": _unigram(made.t5_parts, _end, lambda files: 2),
    "Llama": Recipe("BPE", made.llama_parts, None, _paired(False), _NO_AFFIXES),
    "Gemma": Recipe("BPE", made.gemma_parts, None, _paired(True), _NO_AFFIXES),
}  # fmt: skip
"""By the name of the class, without ``Tokenizer``."""
