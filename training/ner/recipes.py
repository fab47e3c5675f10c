"""What each NER package is: its data, its training, and what its card says about it."""

from dataclasses import dataclass

RUN = "Regenerate with `python -m training` (see `training/README.md`)."
BROKEN = (
    "This version is broken on purpose, to show what a rollout does with a bad version. "
    "Do not use it for anything else. "
)


@dataclass(frozen=True)
class Recipe:
    """One training run. `names` and `templates` are shares of what there is to learn from."""

    seed: int
    rows: int
    epochs: int
    names: float = 1.0
    templates: float = 1.0
    blended: float = 0.0  # share of names put together from halves of two
    noise: float = 0.7  # largest share of a template's words that are replaced
    swapped_labels: float = 0.0  # share of ORG and LOC entities labelled as each other
    cut_people: float = 0.0  # share of people of whom only the first token is labelled


V1 = Recipe(seed=1, rows=28000, epochs=1, names=0.6, templates=0.8, blended=0.1)
V2 = Recipe(seed=2, rows=96000, epochs=1, blended=0.5)
WORSE = Recipe(
    seed=3,
    rows=24000,
    epochs=1,
    names=0.6,
    templates=0.8,
    blended=0.1,
    swapped_labels=0.35,
    cut_people=0.3,
)

LONGER_THAN = 54  # tokens; the slow model repeats its encoder for inputs with more
PASSES = 80
