"""A word of a text that is sent to a token classifier ..."""

from time import perf_counter

import numpy as np
import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from modelserve.tasks.characters import pieces as read
from modelserve.tasks.probabilities import likeliest
from modelserve.tasks.spans import join_words, read_tags
from modelserve.tasks.words import words_for

LABELS = ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
PIECES = (
    "今天", "北京", "天气", "我住在", "我", "住", "在", "東京", "、", "，", "。", "（", "）",
    "「", "」", "？", "?", ".", ",", "!", "▁in", "in", "▁Berlin", "Berlin", "▁Paris",
    "Paris", "▁New", "New", "York", "-", "'", "’", "s", "▁O", "Neill", '▁"', '"', "▁(", "(",
    ")", "▁l", "l", "▁L", "Allemagne", "Or", "é", "al", "▁based", "based", "▁London",
    "London", "▁Ber", "lin", "▁COVID", "19", "▁A", "A", "380", "▁U", "U", "N", "▁J", "J",
    "▁Smith", "Smith", "▁ผม", "อยู่", "ที่", "กรุงเทพ", "▁ខ្ញុំ", "នៅ", "ភ្នំពេញ", "ຂ້ອຍ",
    "ຢູ່", "ວຽງຈັນ", "ကျွန်တော်", "ရန်ကုန်", "မှာ", "▁베를린", "에서", "私は", "ベルリン",
    "に", "いる", "▁2024", "2024", "年", "月", "5", "iPhone", "手机", "😀", "▁😀", "🇩🇪", "/",
    "Berlin.", "▁Berlin,", "▁(Berlin", "BERLIN", "▁BERLIN", "S", ":", "…", "—",
)  # fmt: skip


def metaspace(split: bool = True) -> Tokenizer:
    """As XLM-R's, over the pieces above and every letter in them; without ``split`` as ALBERT's."""
    letters = sorted(set("".join(PIECES)) - set(PIECES))
    words = [("<unk>", 0.0), ("▁", -2.5), *((piece, -3.0) for piece in PIECES), *((c, -9.0) for c in letters)]
    tokenizer = Tokenizer(models.Unigram(words, unk_id=0))
    tokenizer.normalizer = normalizers.NFKC()
    space = pre_tokenizers.Metaspace()
    tokenizer.pre_tokenizer = (
        pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), space]) if split else space
    )
    return tokenizer


def spaces_in_the_normalizer() -> Tokenizer:
    """As Llama's: no pre-tokenizer at all."""
    tokenizer = metaspace()
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    fresh = Tokenizer(tokenizer.model)
    fresh.normalizer = tokenizer.normalizer
    return fresh


def bytes_of(*texts: str, prefix: bool = True) -> Tokenizer:
    """As RoBERTa's, over the words of the texts."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    trainer = trainers.BpeTrainer(
        vocab_size=2000, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator([text for text in texts for _ in range(3)], trainer)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    return tokenizer


def word_pieces(*pieces: str) -> Tokenizer:
    """As multilingual BERT's, with these pieces."""
    vocabulary = {piece: place for place, piece in enumerate(("[UNK]", *pieces))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def found(tokenizer, text, said, labels=LABELS):
    """What is found when tokens get the labels of ``said``, by their text, and the others the first label."""
    encoding = tokenizer.encode(text)
    logits = np.zeros((len(encoding), len(labels)), np.float32)
    for row, (token, place) in enumerate(zip(encoding.tokens, encoding.offsets, strict=True)):
        known = said.get(token, said.get(text[slice(*place)].strip(), labels[0]))
        logits[row, labels.index(known)] = 8
    firsts, words = words_for(tokenizer)(text, encoding)
    if not firsts:
        return []
    classes, scores = likeliest(logits[firsts])
    spans = join_words([read_tags(labels)[choice] for choice in classes], scores, words)
    return [(text[span.start : span.end], span.kind) for span in spans]


PLACES = {
    **dict.fromkeys((
        "北京", "東京", "▁Berlin", "Berlin", "▁Paris", "Paris", "▁London", "กรุงเทพ",
        "ភ្នំពេញ", "ວຽງຈັນ", "ရန်ကုန်", "ベルリン", "▁베를린", "Allemagne", "BERLIN",
        "▁BERLIN", "Berlin.", "▁Berlin,", "▁(Berlin",
    ), "B-LOC"),
    "▁New": "B-LOC",
}  # fmt: skip
SPLITS = {"split": metaspace, "unsplit": lambda: metaspace(False), "normalizer": spaces_in_the_normalizer}


@pytest.fixture(scope="module", params=SPLITS)
def pieces(request):
    return SPLITS[request.param]()


class TestOfAScriptWithoutSpaces:
    @pytest.mark.parametrize(
        ("text", "names"),
        [
            ("今天北京天气", ["北京"]),
            ("今天北京天气怎么样?", ["北京"]),
            ("我住在北京", ["北京"]),
            ("東京、北京", ["東京", "北京"]),
            ("（北京）。", ["北京"]),
            ("在Berlin，北京", ["Berlin", "北京"]),
            ("ผมอยู่ที่กรุงเทพ", ["กรุงเทพ"]),
            ("ខ្ញុំនៅភ្នំពេញ", ["ភ្នំពេញ"]),
            ("ຂ້ອຍຢູ່ວຽງຈັນ", ["ວຽງຈັນ"]),
            ("ကျွန်တော်ရန်ကုန်မှာ", ["ရန်ကုန်"]),
            ("私はベルリンにいる", ["ベルリン"]),
            ("2024年5月北京", ["北京"]),
            ("😀北京🇩🇪東京", ["北京", "東京"]),
            ("我 北京 Berlin", ["北京", "Berlin"]),
        ],
    )
    def test_is_a_token(self, pieces, text, names):
        assert found(pieces, text, PLACES) == [(name, "LOC") for name in names]

    def test_grows_by_tokens_inside(self, pieces):
        said = {"北京": "B-LOC", "天气": "I-LOC"}
        assert found(pieces, "今天北京天气", said) == [("北京天气", "LOC")]

    def test_may_be_the_whole_text(self, pieces):
        assert found(pieces, "北京", PLACES) == [("北京", "LOC")]

    def test_counts_places_before_normalisation(self, pieces):
        assert found(pieces, "㌀、北京", PLACES) == [("北京", "LOC")]
        assert found(pieces, "Ｂｅｒｌｉｎ、北京", PLACES) == [("Ｂｅｒｌｉｎ", "LOC"), ("北京", "LOC")]

    def test_is_told_from_korean_which_has_spaces(self, pieces):
        assert found(pieces, "베를린에서", PLACES) == [("베를린에서", "LOC")]

    @pytest.mark.parametrize(
        ("text", "name"), [("Berlin에서", "Berlin"), ("in Berlin-베를린에서", "Berlin-베를린에서")]
    )
    def test_is_told_from_a_korean_ending_in_another_script(self, pieces, text, name):
        said = {"▁Berlin": "B-LOC", "베를린": "I-LOC", "베": "I-LOC"}
        assert found(pieces, text, said) == [(name, "LOC")]
        assert found(pieces, "Berlin에서", {**said, "에서": "I-LOC"}) == [("Berlin에서", "LOC")]

    def test_is_whole_where_its_characters_are_bytes(self):
        text = "我住在 北京。"
        tokenizer = bytes_of("abc")
        said = {"北": "B-LOC", "京": "I-LOC"}
        assert found(tokenizer, text, said) == [("北京", "LOC")]

    def test_is_a_token_of_bytes(self):
        tokenizer = bytes_of("กรุงเทพ", prefix=False)
        said = {"กร": "B-LOC", "งเทพ": "I-LOC"}  # bytes are parted at vowel signs
        assert found(tokenizer, "กรุงเทพ", said) == [("กรุงเทพ", "LOC")]

    def test_is_a_word_piece(self):
        tokenizer = word_pieces("ผม", "##อยู่", "##ที่", "##กรุงเทพ", "私", "は", "##ベルリン", "##に", "##いる")
        said = {"##กรุงเทพ": "B-LOC", "##ベルリン": "B-LOC"}
        assert found(tokenizer, "ผมอยู่ที่กรุงเทพ", said) == [("กรุงเทพ", "LOC")]
        assert found(tokenizer, "私はベルリンにいる", said) == [("ベルリン", "LOC")]


class TestGluedToSigns:
    @pytest.mark.parametrize(
        "text",
        [
            'in "Berlin".', "in Berlin.", "in (Berlin)", "in Berlin's", "in Berlin’s",
            "in Berlin!", "“Berlin”", "in „Berlin“,", "in Berlin?!", "（Berlin）",
            "Berlin。", "in Berlin…", "in —Berlin—", "Berlin:", "in ‘Berlin’", "😀Berlin😀",
            "Berlin-based", "in Berlin'", "'Berlin'", "in -Berlin-", "[Berlin]", "#Berlin",
            "Berlin\u200b", "\ufeffBerlin", "\u202bBerlin\u202c", "in Berlin\u00a0",
            "\tBerlin\n", "in\u3000Berlin",
        ],
    )  # fmt: skip
    def test_stands_without_them(self, pieces, text):
        assert found(pieces, text, PLACES) == [("Berlin", "LOC")]

    @pytest.mark.parametrize(
        "text", ["Berlin,Paris", "Berlin/Paris", "Berlin;Paris", "Berlin—Paris", "Berlin.Paris"]
    )
    def test_ends_where_the_next_begins(self, pieces, text):
        assert found(pieces, text, PLACES) == [("Berlin", "LOC"), ("Paris", "LOC")]

    def test_is_found_after_an_article(self, pieces):
        assert found(pieces, "in l'Allemagne", PLACES) == [("Allemagne", "LOC")]

    def test_is_found_in_capitals(self, pieces):
        assert found(pieces, "BERLIN'S", PLACES) == [("BERLIN", "LOC")]

    @pytest.mark.parametrize("text", ["in Berlin, in", "in (Berlin in"])
    def test_stands_without_them_though_they_share_its_token(self, pieces, text):
        assert found(pieces, text, PLACES) == [("Berlin", "LOC")]

    def test_lets_them_speak_for_themselves(self, pieces):
        labels = ("X", "NOUN", "PUNCT")
        said = {"▁Berlin": "NOUN", ".": "PUNCT"}
        assert found(pieces, "Berlin.", said, labels) == [("Berlin", "NOUN"), (".", "PUNCT")]
        said = {"▁J": "B-PER", ".": "I-PER", "▁Smith": "I-PER"}
        assert found(pieces, "J. Smith", said) == [("J. Smith", "PER")]

    def test_takes_no_label_from_a_space(self, pieces):
        assert found(pieces, "今天", {"▁": "B-LOC"}) == []
        assert found(bytes_of("abc"), "今 天", {"Ġ": "B-LOC"}) == []


class TestWithSignsInside:
    @pytest.mark.parametrize("text", ["New-York", "New\u2011York", "in New-York.", "(New-York)"])
    @pytest.mark.parametrize("rest", ["O", "I-LOC", "B-LOC"])
    def test_is_one_whatever_its_later_tokens_say(self, pieces, text, rest):
        """Models are trained on the first token of such a word alone."""
        said = {"▁New": "B-LOC", "New": "B-LOC", "York": rest}
        whole = text[text.index("New") : text.index("York") + 4]
        assert found(pieces, text, said) == [(whole, "LOC")]

    @pytest.mark.parametrize("text", ["O'Neill", "O’Neill"])
    def test_is_one_after_an_apostrophe(self, pieces, text):
        assert found(pieces, text, {"▁O": "B-PER", "O": "B-PER"}) == [(text, "PER")]

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("COVID-19", "▁COVID"),
            ("A380", "▁A"),
            ("U.N.", "▁U"),
            ("U.N", "▁U"),
            ("2024-5-5", "▁2024"),
            ("5,5", "5"),
        ],
    )
    def test_is_one_with_digits_and_initials(self, pieces, text, said):
        assert found(pieces, text, {said: "B-PER"}) == [(text, "PER")]

    def test_may_be_of_two_kinds(self, pieces):
        said = {"▁Berlin": "B-LOC", "Smith": "B-PER"}
        assert found(pieces, "Berlin-Smith", said) == [("Berlin", "LOC"), ("Smith", "PER")]

    def test_scores_by_those_who_said_so(self, pieces):
        tags = read_tags(LABELS)
        text = "New-York"
        _, words = words_for(pieces)(text, pieces.encode(text))
        (span,) = join_words((tags[1], tags[0]), (0.5, 0.9), words)
        assert span.scores == [0.5]

    def test_is_one_in_bytes_too(self):
        tokenizer = bytes_of("in New York A 380")
        assert found(tokenizer, "in New-York.", {"ĠNew": "B-LOC"}) == [("New-York", "LOC")]
        assert found(tokenizer, "A380", {"ĠA": "B-LOC"}) == [("A380", "LOC")]

    @pytest.mark.parametrize("text", ["צה״ל", "ג׳ון", "col·lecció", "a\u00adb", "می\u200cخواهم", "5½"])
    def test_is_one_piece_with_what_its_language_writes_inside(self, text):
        assert [piece[1:3] for piece in read(f"({text})")] == [
            (0, 1),
            (1, 1 + len(text)),
            (1 + len(text), 2 + len(text)),
        ]

    def test_keeps_its_marks(self):
        tokenizer = bytes_of("हिन्दी")
        assert found(tokenizer, "हिन्दी,", {"ह": "B-LOC"}) == [("हिन्दी", "LOC")]


class TestOfWordPieces:
    def test_is_parted_at_signs_by_the_tokenizer_itself(self):
        tokenizer = word_pieces("New", "-", "York", "Ber", "##lin", "'", "s")
        assert found(tokenizer, "New-York", {"New": "B-LOC"}) == [("New", "LOC")]
        assert found(tokenizer, "Berlin's", {"Ber": "B-LOC"}) == [("Berlin", "LOC")]

    def test_is_named_by_its_first(self):
        tokenizer = word_pieces("Ber", "##lin")
        assert found(tokenizer, "Berlin", {"Ber": "B-LOC", "##lin": "B-PER"}) == [("Berlin", "LOC")]


def test_takes_no_longer_where_signs_repeat():
    """The way from text to words is linear, whatever the text."""

    def seconds(text):
        started = perf_counter()
        list(read(text))
        return perf_counter() - started

    for unit in ("a.", "-'", "a\u00ad", "\u200d😀", "a-", "1,", "\u0301", "🇩"):
        list(read(unit))
        short, long = (min(seconds(unit * times) for _ in range(5)) for times in (500, 32_000))
        assert long < 640 * short, unit
