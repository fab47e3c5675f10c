"""Small random text models with tokenizers of their own, in folders as they are saved and exported."""

import os

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1"}

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

transformers.logging.set_verbosity_error()
torch.set_num_threads(1)  # models this small are quickest so

LABELS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
PLAIN = (
    "Ada Lovelace met Charles Babbage in London",
    "met Ada in Paris every day",
    "Angela lives in Berlin with Ada and Charles",
    "every day things happen to Charles in London and to Angela in Berlin",
)
"""Words and single spaces alone: whatever a word is taken to be, these are."""
SIGNED = (
    'Is "Berlin" (or Paris, or New-York) Ada\'s? O\'Neill: "No!"',
    "l'Allemagne et l'Italie; Zoë vit à São Paulo.",
    "COVID-19, 3.5 % of A380s... U.N. @ada #tag a/b",
)
OTHERS = (
    "今天北京天气怎么样？我住在東京。",
    "私はベルリンにいる。アダ・ラブレス",
    "ผมอยู่ที่กรุงเทพ",
    "베를린에서 만난 에이다",
    "Ада встретила Чарльза в Лондоне",
    "हिन्दी में लंदन",
    "קיימברידג' في لندن",
    "Ｆｕｌｌ　ｗｉｄｔｈ ﬁ ½ ㌀ e\u0301 İ ß",
    "👩🏽\u200d🚀 Ada 🦆 🇩🇪",
    "  two  spaces\tand\na line \u00a0 ",
)
CORPUS = (
    *PLAIN,
    *PLAIN,
    *SIGNED,
    *OTHERS,
    "lowercase ada lives in paris",
    "ada met charles in berlin and london",
)
ROBERTA = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
BERT = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
WITHOUT_TABLE = {
    "relative_attention": True, "position_biased_input": False,
    "pos_att_type": ["p2c", "c2p"], "position_buckets": 8,
}  # fmt: skip
LIMIT = 64


def word_pieces(lowercase: bool, special: tuple[str, ...] = BERT) -> dict[str, int]:
    """A vocabulary of BERT's kind."""
    trained = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    trained.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    trained.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    _train(trained, trainers.WordPieceTrainer(vocab_size=600, special_tokens=[*special], show_progress=False))
    return trained.get_vocab()


def byte_pairs(special: tuple[str, ...] = ROBERTA) -> dict[str, Any]:
    """Vocabulary and merges of RoBERTa's kind."""
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    letters = pre_tokenizers.ByteLevel.alphabet()
    _train(
        trained,
        trainers.BpeTrainer(
            vocab_size=500, special_tokens=[*special], initial_alphabet=letters, show_progress=False
        ),
    )
    merges = json.loads(trained.to_str())["model"]["merges"]
    return {"vocab": trained.get_vocab(), "merges": [tuple(pair) for pair in merges]}


def unigrams(special: tuple[str, ...]) -> list[tuple[str, float]]:
    """Pieces and scores of SentencePiece's kind."""
    trained = Tokenizer(models.Unigram())
    trained.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]
    )
    trainer = trainers.UnigramTrainer(
        vocab_size=400, unk_token="<unk>", special_tokens=["<unk>"], show_progress=False
    )  # fmt: skip
    _train(trained, trainer)
    found = json.loads(trained.to_str())["model"]["vocab"]
    words = {piece: score for piece, score in found if piece not in (*special, "<unk>")}
    begins = {f"\u2581{word[:2]}": -3.0 for text in PLAIN for word in text.split()}
    seldom = {"\u2581": -50.0}
    return [*((piece, 0.0) for piece in special), *(begins | words | seldom).items()]


def _train(tokenizer: Tokenizer, trainer: Any) -> None:
    tokenizer.train_from_iterator(CORPUS, trainer)


def _bert(lowercase: bool) -> Any:
    return transformers.BertTokenizer(vocab=word_pieces(lowercase), do_lower_case=lowercase)


def _roberta(**options: Any) -> Any:
    return transformers.RobertaTokenizer(**byte_pairs(), **options)


def _albert() -> Any:
    vocabulary = unigrams(("<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"))
    return transformers.AlbertTokenizer(vocab=vocabulary, do_lower_case=False, keep_accents=True)


def _mpnet() -> Any:
    vocabulary = word_pieces(True, ("<s>", "<pad>", "</s>", "[UNK]", "<mask>"))
    return transformers.MPNetTokenizer(vocab=vocabulary)


TOKENIZERS: dict[str, Callable[[], Any]] = {
    "bert-cased": lambda: _bert(False),
    "bert-uncased": lambda: _bert(True),
    "distilbert": lambda: transformers.DistilBertTokenizer(vocab=word_pieces(True)),
    "electra": lambda: _bert(True),
    "mpnet": _mpnet,
    "roberta": _roberta,
    "roberta-prefix": lambda: _roberta(add_prefix_space=True),
    "deberta": lambda: transformers.DebertaTokenizer(**byte_pairs(BERT)),
    "xlm-roberta": lambda: transformers.XLMRobertaTokenizer(vocab=unigrams(ROBERTA)),
    "camembert": lambda: transformers.CamembertTokenizer(vocab=unigrams(ROBERTA)),
    "deberta-v2": lambda: transformers.DebertaV2Tokenizer(
        vocab=unigrams(("[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"))
    ),
    "albert": _albert,
}
WORD_PIECES = ("bert-cased", "bert-uncased", "distilbert", "electra", "mpnet")
CONFIGS: dict[str, Callable[..., Any]] = {
    "bert-cased": transformers.BertConfig,
    "bert-uncased": transformers.BertConfig,
    "distilbert": lambda **sizes: transformers.DistilBertConfig(
        dim=16, n_layers=2, n_heads=2, hidden_dim=32, **sizes
    ),
    "electra": lambda **sizes: transformers.ElectraConfig(embedding_size=16, **sizes),
    "mpnet": transformers.MPNetConfig,
    "roberta": transformers.RobertaConfig,
    "roberta-prefix": transformers.RobertaConfig,
    "deberta": lambda **sizes: transformers.DebertaConfig(**sizes, **WITHOUT_TABLE),
    "xlm-roberta": transformers.XLMRobertaConfig,
    "camembert": transformers.CamembertConfig,
    "deberta-v2": lambda **sizes: transformers.DebertaV2Config(**sizes, **WITHOUT_TABLE),
    "albert": lambda **sizes: transformers.AlbertConfig(embedding_size=16, **sizes),
}


def save(name: str, folder: Path) -> Any:
    """Write the model of this name into ``folder``; gives it back as transformers has it."""
    tokenizer = TOKENIZERS[name]()
    tokenizer.save_pretrained(folder)
    torch.manual_seed(5)
    sizes = {} if name == "distilbert" else SIZES
    config = CONFIGS[name](
        **sizes,
        vocab_size=len(tokenizer),
        max_position_embeddings=LIMIT,
        pad_token_id=tokenizer.pad_token_id,
        id2label=dict(enumerate(LABELS)),
        label2id={label: number for number, label in enumerate(LABELS)},
        initializer_range=0.7,
    )
    model = transformers.AutoModelForTokenClassification.from_config(config, attn_implementation="eager")
    model = model.eval()
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(folder)
    _export(model, tokenizer.model_input_names, folder / "model.onnx")
    return model


class _Logits(torch.nn.Module):
    """The model with inputs by place, as the exporter wants them."""

    def __init__(self, model: Any, names: list[str]) -> None:
        super().__init__()
        self.model, self._names = model, names

    def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.model(**dict(zip(self._names, tensors, strict=True))).logits
        return logits


def _export(model: Any, names: list[str], path: Path) -> None:
    ids = torch.randint(6, 90, (2, 8))
    mask = torch.ones_like(ids)
    mask[1, 5:] = 0
    examples = {"input_ids": ids, "attention_mask": mask, "token_type_ids": torch.zeros_like(ids)}
    with warnings.catch_warnings(action="ignore"):
        torch.onnx.export(
            _Logits(model, names).eval(),
            tuple(examples[name] for name in names),
            path,
            input_names=names,
            output_names=["logits"],
            dynamic_axes={name: {0: "batch", 1: "tokens"} for name in (*names, "logits")},
            opset_version=17,
            dynamo=False,
        )
