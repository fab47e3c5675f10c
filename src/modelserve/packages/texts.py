"""What the files of a text model say about each other: how many tokens it takes, and which.

A model with a table of positions fails on every text that is longer, and one whose tokenizer got tokens that
the model did not on every text that holds one of them: faults of the package, told when it is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from modelserve.domain.inference import Signature
from modelserve.errors import InvalidPackage
from modelserve.packages.reading import inside, read_object

CONFIG = "config.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
Config = Mapping[str, Any]

_PADDING_FIRST = frozenset(
    (
        "camembert", "data2vec-text", "esm", "ibert", "layoutlmv3", "lilt", "longformer", "luke", "markuplm",
        "roberta", "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl", "xmod",
    )
)  # fmt: skip
"""Types whose first token has position ``pad_token_id + 1``.

Source: ``create_position_ids_from_input_ids`` in their models in transformers 5.24."""
_PAD = 1
"""What these types have for ``pad_token_id`` where the configuration names none."""
_SKIPPED = {"mpnet": 2, "ernie_m": 2}
"""Types whose first token has a fixed position, whatever ``pad_token_id`` says."""
_POSITIONS_KEY = {"gpt2": "n_positions", "gpt_bigcode": "n_positions", "gpt-sw3": "n_positions"}
_RELATIVE = frozenset({"deberta", "deberta-v2"})
"""Types that have no table of positions where ``position_biased_input`` is false."""
_TYPES = {
    "Camembert": "camembert", "Data2VecText": "data2vec-text", "Deberta": "deberta",
    "DebertaV2": "deberta-v2", "ErnieM": "ernie_m", "Esm": "esm", "GPT2": "gpt2",
    "GPTBigCode": "gpt_bigcode", "IBert": "ibert", "LayoutLMv3": "layoutlmv3", "Lilt": "lilt",
    "Longformer": "longformer", "Luke": "luke", "MPNet": "mpnet", "MarkupLM": "markuplm",
    "Roberta": "roberta", "RobertaPreLayerNorm": "roberta-prelayernorm", "XLMRoberta": "xlm-roberta",
    "XLMRobertaXL": "xlm-roberta-xl", "Xmod": "xmod",
}  # fmt: skip
"""``model_type`` by the beginning of a class in ``architectures``."""
_SETTINGS: dict[str, tuple[Any, ...]] = {
    "aggregation_strategy": ("first",),
    "ignore_labels": (["O"],),
    "problem_type": ("single_label_classification",),
    "stride": (0,),
}
"""Keys that change entities, and the values that change nothing here."""
_NO_LIMIT = 2**31
"""Lengths from here on mean that there is none; the hub's files have 10**30."""


class Bound(NamedTuple):
    """The most tokens of one text, and the file and key that say so."""

    tokens: int
    source: str


def most_tokens(folder: Path, config: Config, graph: Signature) -> Bound | None:
    """The tightest bound of the graph, the model's positions and the tokenizer's length; None without any.

    Raises InvalidPackage for a bound that is no number.
    """
    axis = graph.inputs[0].shape[1]
    bounds = [
        Bound(axis, f"axis 1 of input {graph.inputs[0].name!r}") if axis > 0 else None,
        _positions(config),
        _tokenizer_length(folder),
    ]
    return min((bound for bound in bounds if bound is not None), default=None)


def model_type(config: Config) -> str:
    """``model_type``, else what ``architectures`` imply, else an empty text."""
    if isinstance(given := config.get("model_type"), str):
        return given
    names = [str(name).partition("For")[0] for name in config.get("architectures") or ()]
    return next((_TYPES[name] for name in names if name in _TYPES), "")


def check_text(config: Config, tokenizer: Config, graph: Signature) -> None:
    """Raises InvalidPackage, naming file and key, where the files of a text model don't fit together."""
    _check_settings(config)
    _check_ids(config, tokenizer)
    _check_types(config, tokenizer, graph)


def _check_ids(config: Config, tokenizer: Config) -> None:
    """Raises InvalidPackage for a token that was added to the tokenizer, but not to the model.

    Special tokens are left out: a text can't hold them.
    """
    size = config.get("vocab_size")
    if type(size) is not int or size <= 0:
        return
    for token in _objects(tokenizer.get("added_tokens")):
        number = token.get("id")
        if type(number) is int and number >= size and not token.get("special"):
            raise InvalidPackage(
                f"{CONFIG}: vocab_size: {size} leaves no embedding for the added token "
                f"{token.get('content')!r} of tokenizer.json, which has the id {number}; "
                f"resize the model's embeddings, or save the tokenizer that it was trained with"
            )


def _check_settings(config: Config) -> None:
    """Raises InvalidPackage for a key that asks for other entities than are made here."""
    own = config.get("task_specific_params")
    params = own.get("token-classification") if isinstance(own, dict) else None
    for asked in (config, params if isinstance(params, dict) else {}):
        for key, wanted in _SETTINGS.items():
            if asked.get(key) not in (None, *wanted):
                shown = " or ".join(map(repr, wanted))
                raise InvalidPackage(
                    f"{CONFIG}: {key}: {asked[key]!r}; {shown} is what is done here: remove it"
                )


def _check_types(config: Config, tokenizer: Config, graph: Signature) -> None:
    """Raises InvalidPackage if the tokenizer gives tokens a type that the model has no embedding for."""
    size = config.get("type_vocab_size")
    if type(size) is not int or size <= 0 or all(spec.name != "token_type_ids" for spec in graph.inputs):
        return
    highest = max(_types(tokenizer), default=0)
    if highest >= size:
        raise InvalidPackage(
            f"{CONFIG}: type_vocab_size: {size}, but the post_processor of tokenizer.json gives tokens the "
            f"type {highest}; types run from 0 to {size - 1}"
        )


def _types(tokenizer: Config) -> Iterator[int]:
    """Types that tokens of a lone text get."""
    for post in _objects([tokenizer.get("post_processor")]):
        for part in _objects(post.get("processors") or [post]):
            for step in _objects(part.get("single")):
                yield from (
                    entry["type_id"]
                    for entry in _objects([*step.values()])
                    if type(entry.get("type_id")) is int
                )


def _objects(values: Any) -> list[dict[str, Any]]:
    """The JSON objects in a list; what is no list has none."""
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []


def _positions(config: Config) -> Bound | None:
    kind = model_type(config)
    key = _POSITIONS_KEY.get(kind, "max_position_embeddings")
    positions = config.get(key)
    if positions is None or _is_relative(kind, config):
        return None
    if type(positions) is not int:
        raise InvalidPackage(f"{CONFIG}: {key}: {positions!r}; a number of positions is wanted, such as 512")
    if positions < 1:
        return None
    skipped = _skipped(kind, config)
    if positions <= skipped:
        raise InvalidPackage(
            f"{CONFIG}: {key}: {positions} leaves no position for a token, because {kind} begins at {skipped}"
        )
    source = f"{CONFIG}: {key}: {positions}"
    return Bound(positions - skipped, f"{source}, of which {kind} skips {skipped}" if skipped else source)


def _is_relative(kind: str, config: Config) -> bool:
    if kind == "esm":
        return config.get("position_embedding_type") == "rotary"
    return kind in _RELATIVE and config.get("position_biased_input") is False


def _skipped(kind: str, config: Config) -> int:
    """Positions before the first token's."""
    if kind not in _PADDING_FIRST:
        return _SKIPPED.get(kind, 0)
    pad = config.get("pad_token_id")
    return (pad if type(pad) is int and pad >= 0 else _PAD) + 1


def _tokenizer_length(folder: Path) -> Bound | None:
    path = inside(folder, TOKENIZER_CONFIG)
    length = read_object(path).get("model_max_length") if path else None
    if length is None:
        return None
    if type(length) not in (int, float):
        raise InvalidPackage(
            f"{TOKENIZER_CONFIG}: model_max_length: {length!r}; a number of tokens is wanted, such as 512"
        )
    if not 1 <= length < _NO_LIMIT:
        return None
    return Bound(int(length), f"{TOKENIZER_CONFIG}: model_max_length")
