"""A tokenizer made to be what the configuration says.

Where a class is named that makes the tokenizer anew, the tokenizer becomes what that class makes. If
tokenizer.json says otherwise about plain texts, the two files contradict each other: that is refused.
Where no class is named, tokenizer.json stays, but for the switches that are given.
"""

from __future__ import annotations

import json
from typing import Any

from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing

from modelserve.errors import InvalidPackage
from modelserve.tasks.tokenizing.class_parts import Parts
from modelserve.tasks.tokenizing.classes import Named
from modelserve.tasks.tokenizing.files import CONFIG, TOKENIZER, Files, State, flag, flag_or_none
from modelserve.tasks.tokenizing.parts import changed, of_short_text, part_of, parts_in, pieces, state_of
from modelserve.tasks.tokenizing.recipes import RECIPES, Ends, Recipe

_TEXTS = (
    "Ada Lovelace met Charles in London",
    'Is "Berlin" (or New-York) Ada\'s? O\'Neill: "No!"',
    "COVID-19, 3.5 % of A380s... U.N. @ada #tag a/b snake_case",
    "Zoë vit à São Paulo, İ ß",
)
"""Texts that every part which is worth its name changes."""
_ODD_TEXTS = (
    "今天北京天气怎么样？我住在東京。",
    "👩🏽\u200d🚀 Ada\u0007 \ufffd e\u0301 ﬁ",
    "  two  spaces\tand\na line \u00a0 ",
)
"""Texts that show the rest; SentencePiece's classes made these otherwise before 5.0, and have their way."""
_KEYS = ("normalizer", "pre_tokenizer")
_SWITCHES = {
    "BertNormalizer": ("lowercase", "strip_accents", "handle_chinese_chars"),
    "ByteLevel": ("add_prefix_space",),
}
"""What switches change in a part, be they given or left out."""
_BERT = {
    "do_lower_case": "lowercase",
    "strip_accents": "strip_accents",
    "tokenize_chinese_chars": "handle_chinese_chars",
}
_CHECKED = {
    "do_lower_case": (("Albert", "DebertaV2", "RemBert", "XLNet"), "A", "a"),
    "keep_accents": (("Albert", "RemBert"), "\u00e9", "\u00e9"),
    "split_by_punct": (("DebertaV2",), "a.a", ""),
}
"""Switches that must be what tokenizer.json does: the classes that heed them, a text and what it becomes."""


def follow(tokenizer: Tokenizer, files: Files, named: Named) -> Tokenizer:
    """The tokenizer as the class makes it; raises InvalidPackage where it and tokenizer.json disagree."""
    if not named.name:
        _follow_switches(tokenizer, files)
        return tokenizer
    recipe = _recipe(named)
    if recipe is None:
        return tokenizer
    if recipe.parts is not None:
        tokenizer = _with_settings(tokenizer, files, named, recipe)
        _check_switches(tokenizer, files, named)
        _follow_parts(tokenizer, recipe.parts(files), files, named)
    if recipe.ends is not None:
        _follow_ends(tokenizer, recipe.ends(files), named, recipe)
    return tokenizer


def is_remade(named: Named) -> bool:
    """Whether the class makes the tokenizer anew, and does not take tokenizer.json as it is."""
    recipe = _recipe(named)
    return recipe is not None and recipe.parts is not None


def _recipe(named: Named) -> Recipe | None:
    return RECIPES.get(named.name.removesuffix("Tokenizer")) if named.name.endswith("Tokenizer") else None


def _refusal(part: str, named: Named) -> InvalidPackage:
    way_out = (
        f'if {TOKENIZER} is right, write "tokenizer_class": "PreTrainedTokenizerFast" into {CONFIG}, else '
    )
    return InvalidPackage(
        f"{TOKENIZER}: {part}: not what {named.said} of {named.file} makes of it; "
        f"{'' if named.by_model else way_out}save both with `save_pretrained`"
    )


def _with_settings(tokenizer: Tokenizer, files: Files, named: Named, recipe: Recipe) -> Tokenizer:
    """The tokenizer with the settings of its model that the class has."""
    model: State = files.tokenizer["model"]
    if model["type"] != recipe.model:
        raise _refusal("model: type", named)
    for key, value in recipe.fixed.items():
        if key in model and not _same(model[key], value):
            raise _refusal(f"model: {key}", named)
    wanted = {key: value for key, value in recipe.settings(files).items() if not _same(model.get(key), value)}
    if wanted.get("unk_token") is not None and wanted["unk_token"] not in model["vocab"]:
        raise _refusal("model: unk_token", named)
    if not wanted:
        return tokenizer
    try:
        return Tokenizer.from_str(json.dumps({**files.tokenizer, "model": model | wanted}))
    except Exception as error:  # the library raises Exception itself
        raise _refusal(f"model: {', '.join(wanted)}", named) from error


def _same(one: Any, other: Any) -> bool:
    """Left out, null, false and an empty text are the same; 0 is a place of its own."""
    nothing = (None, False, "")
    return (type(one) is type(other) and one == other) or all(
        any(each is none for none in nothing) for each in (one, other)
    )


def _check_switches(tokenizer: Tokenizer, files: Files, named: Named) -> None:
    for key, (classes, text, becomes) in _CHECKED.items():
        if not named.name.startswith(classes) or key not in files.config:
            continue
        found = pieces(tokenizer.normalizer, tokenizer.pre_tokenizer if not becomes else None, text)
        does = found[0].strip() == becomes if becomes else len(found) > 1
        if does is not flag(files.config, key, False, null=False):
            raise InvalidPackage(
                f"{CONFIG}: {key}: {files.config[key]!r}, but {TOKENIZER} does otherwise; save both with "
                f"`save_pretrained`"
            )


def _follow_parts(tokenizer: Tokenizer, wanted: Parts, files: Files, named: Named) -> None:
    made = [part_of(key, state) for key, state in zip(_KEYS, wanted, strict=True)]
    saved = [
        part_of(key, _switched(state_of(getattr(tokenizer, key)), state_of(part), files))
        for key, part in zip(_KEYS, made, strict=True)
    ]
    sentence_piece = any(part["type"] in ("Metaspace", "Split") for part in parts_in(wanted[1]))
    for text in _TEXTS if sentence_piece else (*_TEXTS, *_ODD_TEXTS):
        if pieces(saved[0], saved[1], text) != pieces(made[0], made[1], text):
            normal = pieces(saved[0], None, text) == pieces(made[0], None, text)
            raise _refusal("pre_tokenizer" if normal else "normalizer", named)
    tokenizer.normalizer, tokenizer.pre_tokenizer = made


def _switched(saved: State | None, made: State | None, files: Files) -> State | None:
    """What tokenizer.json has, with the switches of what the class makes."""
    kinds = _SWITCHES | ({"Metaspace": ("prepend_scheme",)} if "add_prefix_space" in files.config else {})
    for part in parts_in(made):
        switches = {key: part[key] for key in kinds.get(part["type"], ())}
        saved = changed(saved, part["type"], switches) or saved
    return saved


def _follow_ends(tokenizer: Tokenizer, ends: Ends, named: Named, recipe: Recipe) -> None:
    """The ends of the class must be those of tokenizer.json, but for classes that keep them to themselves."""
    first, last = ([(tokenizer.token_to_id(name), kind) for name, kind in side] for side in ends)
    if any(place is None for place, _ in (*first, *last)):
        raise _refusal("vocabulary without the tokens at a text's ends", named)
    found = _ends_of(tokenizer)
    if found == ([], []) and recipe.sets_ends:
        tokenizer.post_processor = _template(tokenizer, ends)
    elif found != (first, last):
        raise _refusal("post_processor", named)


def _ends_of(tokenizer: Tokenizer) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Ids and types of the tokens before and after a text."""
    found = of_short_text(tokenizer)
    ours = [row for row, special in enumerate(found.special_tokens_mask) if not special]
    first, after = (ours[0], ours[-1] + 1) if ours else (len(found.ids), len(found.ids))
    both = list(zip(found.ids, found.type_ids, strict=True))
    return both[:first], both[after:]


def _template(tokenizer: Tokenizer, ends: Ends) -> Any:
    first, last = (" ".join(f"{name}:{kind}" for name, kind in side) for side in ends)
    names = dict.fromkeys(name for name, _ in (*ends.first, *ends.last))
    return TemplateProcessing(
        single=f"{first} $A:0 {last}".strip(),
        pair=f"{first} $A:0 {last} $B:1 {last}".strip(),
        special_tokens=[(name, tokenizer.token_to_id(name)) for name in names],
    )


def _follow_switches(tokenizer: Tokenizer, files: Files) -> None:
    """Those that are given, where no class says what the others are."""
    config = files.config
    given = {
        _BERT[key]: flag_or_none(config, key) if key == "strip_accents" else flag(config, key, True)
        for key in _BERT
        if key in config
    }
    normal = changed(state_of(tokenizer.normalizer), "BertNormalizer", given)
    if normal is not None:
        tokenizer.normalizer = part_of("normalizer", normal)
    if "add_prefix_space" not in config:
        return
    wanted = flag(config, "add_prefix_space", True)
    saved = state_of(tokenizer.pre_tokenizer)
    split = changed(saved, "ByteLevel", {"add_prefix_space": wanted})
    never = any(part.get("prepend_scheme") == "never" for part in parts_in(saved))
    if never is wanted:
        split = split or changed(saved, "Metaspace", {"prepend_scheme": "always" if wanted else "never"})
    if split is not None:
        tokenizer.pre_tokenizer = part_of("pre_tokenizer", split)
