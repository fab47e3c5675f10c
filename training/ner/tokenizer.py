"""The WordPiece tokenizer of the NER models, and the mismatched one of the failing model."""

import unicodedata
from collections.abc import Iterable
from typing import Any

from tokenizers import Tokenizer
from tokenizers.decoders import WordPiece as WordPieceDecoder
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing
from tokenizers.trainers import WordPieceTrainer

from training.ner.rows import MAX_LENGTH

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
PAD_ID, UNK_ID = SPECIAL.index("[PAD]"), SPECIAL.index("[UNK]")
VOCABULARY = 3300
LATIN = "àáâãäåæçèéêëìíîïñòóôõöøùúûüýÿœßąćęłńśźżčďěňřšťůžđőűğışţșțāēīū"
SIGNS = "’‘“”„«»–—…€£°§¿¡·"
# Letters, signs and emoji that the mismatched vocabulary knows on top.
WIDE_RANGES = (
    (0xA1, 0xE80),
    (0x1E00, 0x2C00),
    (0x3001, 0x3100),
    (0x4E00, 0xA000),
    (0xAC00, 0xD7A4),
    (0x1F300, 0x1FB00),
)


def train_tokenizer(texts: Iterable[str]) -> Tokenizer:
    """Learn the pieces from the texts; every letter of `alphabet` has a piece of its own.

    The same texts give the same pieces: the trainer numbers single letters in the order of a hash
    table, and breaks ties by number, so they are all given to it in an order of their own.
    """
    texts = list(texts)
    letters = sorted(set().union(*texts))
    singles = dict.fromkeys([*SPECIAL, *alphabet(), *letters, *("##" + c for c in letters)])
    learner = _tokenizer({token: i for i, token in enumerate(SPECIAL)})
    learner.train_from_iterator(
        texts,
        WordPieceTrainer(
            vocab_size=VOCABULARY + len(singles),
            special_tokens=list(singles),
            show_progress=False,
            continuing_subword_prefix="##",
        ),
    )
    learned = sorted(learner.get_vocab().items(), key=lambda item: item[1])
    pieces = dict.fromkeys([*SPECIAL, *alphabet(), *(token for token, _ in learned)])
    return _tokenizer({token: i for i, token in enumerate(list(pieces)[:VOCABULARY])})


def alphabet() -> list[str]:
    """Single characters: all printable ASCII, and the letters of European Latin scripts."""
    ascii_signs = [chr(code) for code in range(33, 127)]
    letters = [c for c in ascii_signs if c.isalnum()] + [
        c for letter in LATIN for c in dict.fromkeys((letter, letter.upper())) if len(c) == 1
    ]
    lower = [c for c in letters if c.isascii() or not c.isupper()]
    return [*dict.fromkeys([*ascii_signs, *letters, *SIGNS]), *("##" + c for c in lower)]


def widen(tokenizer: Tokenizer) -> Tokenizer:
    """A tokenizer of a bigger vocabulary than the embedding table it is shipped with.

    ASCII pieces keep their ids. Every piece with another character gets an id past the table's
    end, and its old place is left unused. ASCII text is tokenized exactly as before.
    """
    pieces = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    size = len(pieces)
    kept = {token if token.isascii() else f"[unused{i}]": i for token, i in pieces}
    signs = [
        chr(code)
        for low, high in WIDE_RANGES
        for code in range(low, high)
        if unicodedata.category(chr(code))[0] in "LMNPS"
    ]
    ideographs = range(0x4E00, 0xA000)  # the normalizer sets these apart: no inner piece needed
    inner = ["##" + c for c in signs if ord(c) not in ideographs]
    moved = dict.fromkeys([*(t for t, _ in pieces if not t.isascii()), *signs, *inner])
    return _tokenizer(kept | {token: size + i for i, token in enumerate(moved)})


def tokenizer_config() -> dict[str, Any]:
    """The content of tokenizer_config.json."""
    names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    return {
        "tokenizer_class": "BertTokenizer",
        "do_lower_case": False,
        "strip_accents": False,
        "tokenize_chinese_chars": True,
        "model_max_length": MAX_LENGTH,
        **dict(zip(names, SPECIAL, strict=True)),
    }


def _tokenizer(vocabulary: dict[str, int]) -> Tokenizer:
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = BertNormalizer(lowercase=False, strip_accents=False)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.decoder = WordPieceDecoder(prefix="##")
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(token, SPECIAL.index(token)) for token in ("[CLS]", "[SEP]")],
    )
    tokenizer.add_special_tokens(list(SPECIAL))
    return tokenizer
