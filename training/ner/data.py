"""Sentences made from templates and names, with the entities marked.

Templates, like names, are in training or held out (`templates/<language>.txt`).
"""

import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from faker import Faker

from training.ner.names import FAKER_LOCALES, LANGUAGES, Pool, Split, pools
from training.ner.rows import Entity, Row

TEMPLATES = Path(__file__).parent / "templates"
ENGLISH_SHARE = 0.78
FOREIGN_NAME_SHARE = 0.08  # names in a sentence that come from another language's pool
LONGEST_SENTENCE = 48  # tokens; what is longer counts as a paragraph
WORD = re.compile(r"(?<!\{)\b[^\W\d_]+\b(?!\})")  # a word that is no slot
SLOT = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Templates:
    """Whole sentences, and phrases that may stand before or after one."""

    sentences: list[str]
    openers: list[str]
    closers: list[str]


class Writer:
    """Writes rows of one side of the split.

    `names` and `templates` are shares to draw from. `noise` is the largest share of a template's
    words that other words take the place of, so that a model learns more shapes of sentences;
    `blended` is the share of names made of two halves, so that it learns the looks of names.
    """

    def __init__(
        self,
        split: Split,
        seed: int,
        names: float = 1.0,
        templates: float = 1.0,
        noise: float = 0.0,
        blended: float = 0.0,
    ) -> None:
        self.rng = random.Random(seed)
        self.noise = noise
        self.pools = pools(split, names, blended)
        self.templates = {lang: read_templates(lang, split, templates) for lang in LANGUAGES}

    def sentence(self, language: str | None = None) -> Row:
        """One sentence, in a language drawn by share unless one is given."""
        return self._fill(language := language or self._language(), self._template(language))

    def paragraph(self, sentences: int) -> Row:
        """So many sentences of one language, joined by spaces."""
        language = self._language()
        return self._fill(language, " ".join(self._template(language) for _ in range(sentences)))

    def rows(self, count: int, paragraph_share: float = 0.08) -> list[Row]:
        """Sentences, and a share of paragraphs of 2 to 5 sentences."""
        return [
            self.paragraph(self.rng.randint(2, 5)) if self.rng.random() < paragraph_share else self.sentence()
            for _ in range(count)
        ]

    def _language(self) -> str:
        if self.rng.random() < ENGLISH_SHARE:
            return "en"
        return self.rng.choice([language for language in LANGUAGES if language != "en"])

    def _template(self, language: str) -> str:
        known, rng = self.templates[language], self.rng
        text = rng.choice(known.sentences)
        if known.openers and text.startswith("{") and rng.random() < 0.15:
            text = rng.choice(known.openers) + text
        if known.closers and text.endswith("}.") and rng.random() < 0.15:
            text = text[:-1] + rng.choice(known.closers)
        return self._scramble(language, text) if self.noise else text

    def _scramble(self, language: str, template: str) -> str:
        share = self.rng.random() * self.noise

        def other(word: re.Match[str]) -> str:
            if self.rng.random() >= share:
                return word.group()
            new = self.rng.choice(words(language))
            return new.capitalize() if word.group()[0].isupper() else new

        text = WORD.sub(other, template)
        if self.rng.random() < share * 0.1:
            text = f"{self.rng.choice(words(language)).capitalize()} {text}"
        return text

    def _fill(self, language: str, template: str) -> Row:
        text, entities, position = "", [], 0
        for slot in SLOT.finditer(template):
            text += template[position : slot.start()]
            position = slot.end()
            value, label = self._value(language, slot.group(1))
            if label:
                entities.append(Entity(value, label, len(text), len(text) + len(value)))
            text += value
            if value.endswith(".") and template[position : position + 1] == ".":
                position += 1  # "Lda." at the end of a sentence keeps one full stop
        return Row(text + template[position:], tuple(entities))

    def _value(self, language: str, slot: str) -> tuple[str, str]:
        """What stands in the slot, and its label ("" for none)."""
        pool, rng = self._pool(language), self.rng
        named: dict[str, Callable[[], tuple[str, str]]] = {
            "PER": lambda: (pool.person(rng), "PER"),
            "FIRST": lambda: (pool.pick(rng, "first"), "PER"),
            "LAST": lambda: (pool.pick(rng, "last"), "PER"),
            "ORG": lambda: (pool.organisation(rng), "ORG"),
            "LOC": lambda: (pool.place(rng), "LOC"),
            "n": lambda: (str(rng.randint(2, 99)), ""),
            "d": lambda: (str(rng.randint(1, 28)), ""),
            "year": lambda: (str(rng.randint(1950, 2026)), ""),
            "day": lambda: (rng.choice(calendar(language)[0]), ""),
            "month": lambda: (rng.choice(calendar(language)[1]), ""),
        }
        return named[slot]()

    def _pool(self, language: str) -> Pool:
        foreign = language == "en" and self.rng.random() < FOREIGN_NAME_SHARE
        return self.pools[self.rng.choice(LANGUAGES) if foreign else language]


@cache
def calendar(language: str) -> tuple[list[str], list[str]]:
    """The names of the days and of the months."""
    fake = Faker(FAKER_LOCALES[language])
    fake.seed_instance(7)
    days = sorted({fake.day_of_week() for _ in range(300)})
    months = sorted({fake.month_name() for _ in range(600)})
    return days, [m.lower() for m in months] if language == "fr" else months


@cache
def words(language: str) -> list[str]:
    """Everyday words that may stand in for a template's."""
    locale = "en_US" if language == "en" else FAKER_LOCALES[language]  # en_GB has Latin ones
    return sorted(set(Faker(locale).get_words_list()))


def read_templates(language: str, split: Split, share: float = 1.0) -> Templates:
    """The templates of one side of the split; `share` keeps only that part of each list."""
    sections: dict[str, list[str]] = {}
    for line in (TEMPLATES / f"{language}.txt").read_text("utf-8").splitlines():
        if line.startswith("["):
            current = sections.setdefault(line.strip("[]"), [])
        else:
            current.append(line)

    def part(section: str) -> list[str]:
        lines = sections.get(section, [])
        random.Random(section).shuffle(lines)
        return lines[: round(len(lines) * share)]

    return Templates(part(split), part(f"{split} openers"), part(f"{split} closers"))


def held_out_rows(count: int, paragraphs: int, tokens: Callable[[str], int]) -> list[Row]:
    """The held-out set, shuffled; `tokens` counts the tokens of a text.

    Sentences have 5 to 22 words and at most LONGEST_SENTENCE tokens; paragraphs have 60 to 110.
    """
    writer = Writer("held-out", seed=2024)
    rows: dict[str, Row] = {}
    while len(rows) < count - paragraphs:
        row = writer.sentence()
        if tokens(row.text) <= LONGEST_SENTENCE and 5 <= len(row.text.split()) <= 22:
            rows[row.text] = row
    while len(rows) < count:
        row = writer.paragraph(writer.rng.randint(3, 5))
        if 60 <= tokens(row.text) <= 110:
            rows[row.text] = row
    mixed = list(rows.values())
    writer.rng.shuffle(mixed)
    return mixed
