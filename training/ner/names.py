"""Pools of names. Each name is in training or held out, never both.

A hash of the name decides, so a name that two languages share falls on one side in both.
Companies, schools and hospitals are put together from the names of one side only.
"""

import itertools
import random
import zlib
from dataclasses import dataclass
from typing import Literal

from faker import Faker
from faker.providers.geo import Provider as Geo

Split = Literal["train", "held-out"]
HELD_OUT_SHARE = 4  # one name in so many is held out
DRAWS = 2500  # how often faker is asked for each kind of name

FAKER_LOCALES = {
    "en": "en_GB",
    "fr": "fr_FR",
    "de": "de_DE",
    "es": "es_ES",
    "pt": "pt_PT",
    "cs": "cs_CZ",
    "pl": "pl_PL",
}
LANGUAGES = tuple(FAKER_LOCALES)
MOST_INVENTED_CITIES = 350  # English and French faker cities are made up; do not let them rule

ORGANISATIONS = {
    "en": (
        "{last} Ltd|{last} Inc|{last} PLC|{last} Group|{brand} Corp|{last} & {last}|{brand}"
        "|{brand}|{brand}|{last} and Sons|{brand} Bank|{brand} Systems|{brand} Labs|{acronym}"
        "|{city} University|University of {city}|{city} General Hospital|{last} Brothers"
        "|{brand} Airlines|{last}-{last}|{brand} Foods"
    ),
    "fr": "{last} SA|{last} et Fils|{brand}|Banque {last}|{last} SARL|Université de {city}|{acronym}",
    "de": "{last} GmbH|{last} AG|{brand} AG|Universität {city}|Stadtwerke {city}|{last} & {last} KG|{brand}",
    "es": "{last} S.A.|{brand}|Banco {last}|Universidad de {city}|Grupo {last}|Hotel {last}",
    "pt": "{last} Lda.|{brand}|Banco {last}|Universidade de {city}|Grupo {brand}|{last} e Filhos",
    "cs": "{last} s.r.o.|{brand} a.s.|{brand}|Univerzita {city}|Nemocnice {city}|{last} a.s.",
    "pl": "{last} Sp. z o.o.|{brand} S.A.|{brand}|Uniwersytet {city}|Bank {last}|{acronym}",
}
PEOPLE = (
    "{first} {last}|{first} {last}|{first} {last}|{first} {last}|{first} {last}|{first} {last}"
    "|{first} {last}|{initial}. {last}|{first} {last}-{last}|{last}"
)
BRAND_PARTS = (
    "Nov Lum Ver Tel Cor Aqu Syn Zen Opt Med Agr El Kin Pol Quan Ras Sol Tri Ult Viv",
    "a e i o ta ri no ve",
    "tek ra nex lis dor via ron ma xa com gen soft net lia",
)


@dataclass(frozen=True)
class Pool:
    """The names of one language on one side of the split.

    A share `blended` of the names picked is the first half of one and the second half of another.
    """

    language: str
    split: Split
    blended: float
    first: list[str]
    last: list[str]
    city: list[str]
    country: list[str]
    brand: list[str]
    acronym: list[str]

    def person(self, rng: random.Random) -> str:
        """A full name mostly; sometimes an initial, a double or a single name."""
        return self._fill(rng, rng.choice(PEOPLE.split("|")))

    def organisation(self, rng: random.Random) -> str:
        """A company, bank, school or hospital."""
        return self._fill(rng, rng.choice(ORGANISATIONS[self.language].split("|")))

    def place(self, rng: random.Random) -> str:
        """A town, or one time in five a country."""
        if self.country and rng.random() < 0.2:
            return rng.choice(self.country)
        return self.pick(rng, "city")

    def pick(self, rng: random.Random, kind: str) -> str:
        """One name of a kind, such as "first"; blended as often as the pool says."""
        one, other = rng.choice(getattr(self, kind)), rng.choice(getattr(self, kind))
        if kind != "acronym" and rng.random() < self.blended:
            blend = one[: (len(one) + 1) // 2] + other[len(other) // 2 :]
            if blend.istitle() and on_side(blend, self.split):
                return blend
        return one

    def _fill(self, rng: random.Random, pattern: str) -> str:
        for kind in ("first", "last", "city", "brand", "acronym"):
            while "{" + kind + "}" in pattern:
                pattern = pattern.replace("{" + kind + "}", self.pick(rng, kind), 1)
        return pattern.replace("{initial}", rng.choice(self.first)[0])


def on_side(name: str, split: Split) -> bool:
    """Whether the name belongs to this side of the split."""
    held_out = zlib.crc32(name.casefold().encode()) % HELD_OUT_SHARE == 0
    return held_out == (split == "held-out")


def pools(split: Split, share: float = 1.0, blended: float = 0.0) -> dict[str, Pool]:
    """One pool per language; `share` keeps only that part of every list of names."""
    return {language: _pool(language, split, share, blended) for language in LANGUAGES}


def _pool(language: str, split: Split, share: float, blended: float) -> Pool:
    fake = Faker(FAKER_LOCALES[language])
    fake.seed_instance(7)

    def keep(names: set[str]) -> list[str]:
        mine = sorted(name for name in names if _usable(name) and on_side(name, split))
        random.Random(language).shuffle(mine)
        return mine[: max(8, round(len(mine) * share))]

    def drawn(kind: str) -> set[str]:
        return {getattr(fake, kind)() for _ in range(DRAWS)}

    return Pool(
        language,
        split,
        blended,
        first=keep(drawn("first_name")),
        last=keep(drawn("last_name")),
        city=keep(_cities(language, drawn("city"))),
        # faker's Polish country names are English
        country=[] if language == "pl" else keep(drawn("country")),
        brand=keep({"".join(parts) for parts in itertools.product(*map(str.split, BRAND_PARTS))}),
        acronym=keep({"".join(parts) for parts in itertools.product("BDFGKMNRSTVZ", repeat=3)}),
    )


def _cities(language: str, drawn: set[str]) -> set[str]:
    invented = set(sorted(drawn, key=lambda name: zlib.crc32(name.encode()))[:MOST_INVENTED_CITIES])
    real = {place[2] for place in Geo.land_coords if place[2].isascii()}
    return invented | real if language == "en" else invented


def _usable(name: str) -> bool:
    return name[:1].isupper() and len(name) <= 24 and not set(name) & set("(),/0123456789")
