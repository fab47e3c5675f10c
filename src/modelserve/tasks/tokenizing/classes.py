"""The class of a tokenizer, as AutoTokenizer of transformers 5.24 finds it.

Most classes that transformers has make the tokenizer anew: ``recipes`` knows how. Every other name stands for
the general class, which takes tokenizer.json as it is; so do some types of models, whatever class is named.
"""

from __future__ import annotations

from typing import NamedTuple

from modelserve.errors import InvalidPackage
from modelserve.tasks.tokenizing.files import CONFIG, MODEL_CONFIG, TOKENIZER, Files

GENERAL = "PreTrainedTokenizer"
"""The class that takes tokenizer.json as it is, without its ``Fast``."""

_GENERAL_TYPES = frozenset(
    (
        "arctic", "beam", "bigbird_pegasus", "camembertv2-base", "chatlm", "ernie4_5", "ernie4_5_moe",
        "flex_olmo", "glm", "glm4", "glm4_moe", "gpt_bigcode", "granite", "granitemoe", "granitemoehybrid",
        "granitemoeshared", "hyperclovax", "internlm2", "internlm3", "jamba", "kimi_linear", "minicpm3",
        "minimax_m2", "ministral", "ministral3", "mistral", "mistral3", "mixtral", "modernbert",
        "modernbert-decoder", "nemotron", "nystromformer", "olmo2", "olmo3", "olmo_hybrid", "pegasus_x",
        "persimmon", "phi3", "phimoe", "pixtral", "stablelm", "umt5", "xlm-roberta-xl",
    )
)  # fmt: skip
"""Types of models whose tokenizer is of the general class, whatever class is named."""
_TYPES_WITH_A_CLASS = {
    "qwen2": "Qwen2Tokenizer",
    **dict.fromkeys(("qwen3_5", "qwen3_5_moe", "qwen3_5_moe_text"), "Qwen3_5Tokenizer"),
}
"""Types of models that have this class, whatever class is named."""
_TYPES_WITHOUT_CLASS = frozenset(
    (
        "apertus", "arcee", "bloom", "deepseek_v3", "diffllama", "eurobert", "exaone4", "falcon", "gpt_oss",
        "helium", "llama", "minimax", "modernvbert", "seed_oss", "smollm3",
    )
)  # fmt: skip
"""Types of models whose tokenizer is of the general class where none is named."""
_OTHER_RULES = frozenset(
    (
        "Bartpho", "BertGeneration", "BertJapanese", "Bertweet", "BioGpt", "BlenderbotSmall", "ByT5",
        "Canine", "Cpm", "CpmAnt", "CTRL", "Esm", "Flaubert", "FSMT", "GPTNeoXJapanese", "GPTSw3",
        "M2M100", "Marian", "MyT5", "Perceiver", "Phobert", "PLBart", "ProphetNet", "RoCBert", "RoFormer",
        "SeamlessM4T", "Siglip", "Speech2Text", "SpeechT5", "Tapas", "Wav2Vec2CTC", "XLM",
    )
)  # fmt: skip
"""Classes that part texts, or set their ends, by code of their own, which tokenizer.json can't hold."""


class Named(NamedTuple):
    """A class, and the words and the file that name it; all are empty texts where none does."""

    name: str
    said: str
    file: str

    @property
    def by_model(self) -> bool:
        """Whether the type of the model names it, so that no other class can."""
        return self.said.startswith("model_type")


def class_of(files: Files) -> Named:
    """Raises InvalidPackage for a class that can't be done here."""
    named = _named(files)
    kind = files.model.get("model_type")
    kind = kind if isinstance(kind, str) else ""
    if kind in _GENERAL_TYPES or (not named.name and kind in _TYPES_WITHOUT_CLASS):
        return named._replace(name=GENERAL)
    if not named.name:
        return named
    if kind in _TYPES_WITH_A_CLASS:
        return Named(_TYPES_WITH_A_CLASS[kind], f"model_type: {kind!r}", MODEL_CONFIG)
    if named.name == "LlamaTokenizer" and _of_bytes(files):
        return named._replace(name=GENERAL)
    if named.name.removesuffix("Tokenizer") in _OTHER_RULES:
        raise InvalidPackage(
            f"{named.file}: {named.said} parts texts by code of its own, so {TOKENIZER} "
            f"makes other tokens; serve it as `task: tensor`, or in a package with code"
        )
    return named


def _named(files: Files) -> Named:
    for said, file in ((files.config, CONFIG), (files.model, MODEL_CONFIG)):
        name = said.get("tokenizer_class")
        if name is not None and not isinstance(name, str):
            raise InvalidPackage(f"{file}: tokenizer_class: {name!r}; the name of a class is wanted")
        if name:
            name = name.removesuffix("Fast")
            return Named(name, f"tokenizer_class: {name!r}", file)
    return Named("", "", "")


def _of_bytes(files: Files) -> bool:
    """Whether tokenizer.json speaks of bytes, which Llama's own class doesn't: it is Llama 3's, then."""
    parts = [files.tokenizer.get("pre_tokenizer") or {}, files.tokenizer.get("decoder") or {}]
    parts += [more for part in parts for more in part.get("pretokenizers", part.get("decoders", []))]
    return any(part.get("type") == "ByteLevel" for part in parts)
