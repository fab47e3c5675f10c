"""Tokenizers and packages made on the spot; no graph is needed to prepare and finish."""

import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from modelserve.domain.inference import DataType, Signature, TensorSpec
from modelserve.domain.models import ModelPackage, PackageLimits, Task
from modelserve.tasks import task_for

CORPUS = (
    "Ada Lovelace met Charles Babbage in London. Zoë lives in São Paulo with René. "
    "unbelievable things happen to Ada and to Zoë in London and Paris every day"
)
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
BIO = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")


def word_pieces(lowercase: bool = False) -> Tokenizer:
    """As BERT's: words are split at white space and punctuation, CJK characters stand alone."""
    words = CORPUS.lower().split() if lowercase else CORPUS.replace(".", " .").split()
    letters = sorted(set("".join(words)))
    pieces = [*SPECIAL, *dict.fromkeys(words), *letters, *(f"##{letter}" for letter in letters)]
    vocabulary = {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(list(SPECIAL))
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return tokenizer


def byte_pieces() -> Tokenizer:
    """As RoBERTa's: bytes, a word includes the space before it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<s>", "<pad>", "</s>"],
        show_progress=False,
    )
    tokenizer.train_from_iterator([CORPUS], trainer)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.RobertaProcessing(
        ("</s>", 2), ("<s>", 0), trim_offsets=False, add_prefix_space=False
    )
    return tokenizer


def metaspace_pieces() -> Tokenizer:
    """As XLM-R's: a sign stands for the space before each word."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=90, special_tokens=["<unk>"], unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator([CORPUS], trainer)
    return tokenizer


TOKENIZERS = {"word": word_pieces, "byte": byte_pieces, "metaspace": metaspace_pieces}


@pytest.fixture(scope="session")
def tokenizers() -> dict[str, Tokenizer]:
    return {name: train() for name, train in TOKENIZERS.items()} | {"lower": word_pieces(lowercase=True)}


@pytest.fixture
def text_package(tmp_path: Path, tokenizers: dict[str, Tokenizer]) -> Callable[..., ModelPackage]:
    """A package for token classification with one of the tokenizers."""

    def build(
        tokenizer: str = "word",
        labels: Sequence[str] = BIO,
        max_length: int = 512,
        inputs: Sequence[str] = ("input_ids", "attention_mask"),
        tokens: int = -1,
        datatype: DataType = DataType.INT64,
    ) -> ModelPackage:
        tokenizers[tokenizer].save(str(tmp_path / "tokenizer.json"))
        return ModelPackage(
            path=tmp_path,
            digest="0" * 64,
            layout="huggingface",
            task=Task.TOKEN_CLASSIFICATION,
            model_file=tmp_path / "model.onnx",
            signature=Signature(
                tuple(TensorSpec(name, datatype, (-1, tokens)) for name in inputs),
                (TensorSpec("logits", DataType.FP32, (-1, tokens, len(labels))),),
            ),
            labels=tuple(labels),
            logits="logits",
            limits=PackageLimits(max_length=max_length),
        )

    return build


@pytest.fixture
def image_package(tmp_path: Path) -> Callable[..., ModelPackage]:
    """A package for image classification; keywords are keys of preprocessor_config.json."""

    def build(
        shape: Sequence[int] = (-1, 3, -1, -1),
        labels: Sequence[str] = ("cat", "dog"),
        max_pixels: int = 1_000_000,
        datatype: DataType = DataType.FP32,
        **config: Any,
    ) -> ModelPackage:
        (tmp_path / "preprocessor_config.json").write_text(json.dumps(config), "utf-8")
        return ModelPackage(
            path=tmp_path,
            digest="0" * 64,
            layout="huggingface",
            task=Task.IMAGE_CLASSIFICATION,
            model_file=tmp_path / "model.onnx",
            signature=Signature(
                (TensorSpec("pixel_values", datatype, tuple(shape)),),
                (TensorSpec("logits", DataType.FP32, (-1, len(labels))),),
            ),
            labels=tuple(labels),
            logits="logits",
            limits=PackageLimits(max_pixels=max_pixels),
        )

    return build


@pytest.fixture
def pixels_of(image_package: Callable[..., ModelPackage]) -> Callable[..., Any]:
    """What an image becomes: float [channels, height, width]; keywords go to the package."""

    def prepare(image: Image.Image | bytes, format: str = "PNG", save: Any = (), **package: Any) -> Any:
        content = image if isinstance(image, bytes) else encode(image, format, **dict(save))
        task = task_for(image_package(**package))
        assert task is not None
        return task.prepare(content)[0]["pixel_values"][0]

    return prepare


def encode(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


@pytest.fixture
def encoded() -> Callable[..., bytes]:
    return encode
