"""The normalizers and pre_tokenizers that the classes of transformers 5.24 make.

What a switch means where it is left out or null is the class's own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tokenizers import Regex, normalizers, pre_tokenizers

from modelserve.tasks.tokenizing.files import Files, State, flag, flag_or_none
from modelserve.tasks.tokenizing.parts import part_of, pieces, state_of

Parts = tuple[State | None, State | None]
"""A normalizer and a pre_tokenizer, as tokenizer.json writes them."""


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


def bert_parts(files: Files, clean: bool = True) -> Parts:
    normalizer = normalizers.BertNormalizer(
        clean_text=clean,
        handle_chinese_chars=flag(files.config, "tokenize_chinese_chars", True),
        strip_accents=flag_or_none(files.config, "strip_accents"),
        lowercase=flag(files.config, "do_lower_case", True),
    )
    return _normal(normalizer), _split(pre_tokenizers.BertPreTokenizer())


def funnel_parts(files: Files) -> Parts:
    return bert_parts(files, flag(files.config, "clean_text", True))


def herbert_parts(files: Files) -> Parts:
    normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=False)
    return _normal(normalizer), _split(pre_tokenizers.BertPreTokenizer())


def bytes_parts(files: Files) -> Parts:
    prefix = flag(files.config, "add_prefix_space", False)
    return None, _split(pre_tokenizers.ByteLevel(add_prefix_space=prefix))


def composed_bytes_parts(files: Files) -> Parts:
    return _normal(normalizers.NFC()), bytes_parts(files)[1]


def qwen_parts(*wanted: str) -> Callable[[Files], Parts]:
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


def xlm_roberta_parts(files: Files) -> Parts:
    return _normal(*_charsmap(files)), _split(pre_tokenizers.WhitespaceSplit(), _space(files))


def t5_parts(files: Files) -> Parts:
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


def albert_parts(files: Files) -> Parts:
    normalizer = _normal(*_QUOTES, *_letters(files, True, False), *_charsmap(files))
    return normalizer, _split(pre_tokenizers.WhitespaceSplit(), _space(files))


def rembert_parts(files: Files) -> Parts:
    single = normalizers.Replace(Regex(" {2,}"), " ")
    normalizer = _normal(*_QUOTES, single, *_letters(files, False, True), *_charsmap(files))
    return normalizer, _split(_space(files))


def deberta_v2_parts(files: Files) -> Parts:
    lowered = flag(files.config, "do_lower_case", False, null=False)
    signs = flag(files.config, "split_by_punct", False, null=False)
    return (
        _normal(*((normalizers.Lowercase(),) if lowered else ()), *_SPACES),
        _split(*((pre_tokenizers.Punctuation(),) if signs else ()), _space(files, "first")),
    )


def xlnet_parts(files: Files) -> Parts:
    lowered = flag(files.config, "do_lower_case", False, null=False)
    lower = (normalizers.Lowercase(),) if lowered else ()
    normalizer = _normal(*_QUOTES, *_NO_ACCENTS, *lower, *_charsmap(files))
    return normalizer, _split(pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace())


def big_bird_parts(files: Files) -> Parts:
    spaces = (normalizers.Strip(left=False, right=False), normalizers.Replace(Regex(" {2,}"), "\u2581"))
    return _normal(*spaces), _split(_space(files))


def barthez_parts(files: Files) -> Parts:
    return _normal(*_SPACES), _split(_space(files))


def llama_parts(files: Files) -> Parts:
    prefix = flag(files.config, "add_prefix_space", True, null=True)
    legacy = flag(files.config, "legacy", False, null=False)
    scheme = ("always" if legacy else "first") if prefix else "never"
    return None, _split(pre_tokenizers.Metaspace(prepend_scheme=scheme, split=False))


def gemma_parts(files: Files) -> Parts:
    splitter = pre_tokenizers.Split(" ", "merged_with_previous")
    return _normal(normalizers.Replace(" ", "\u2581")), _split(splitter)
