"""What the demo rolls out, in which order, and what should become of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "models"


@dataclass(frozen=True)
class Chapter:
    """One rollout: which package, by which rules, and how it must end."""

    service: str
    package: str
    about: str
    ends: str
    """``promoted`` or ``rolled back``."""
    harm: str
    """What a client would have suffered: ``failed``, ``slow`` or ``wrong`` answers."""
    shadow: dict[str, Any] | None = None
    """Overrides the spec's shadow stage; an empty dict leaves it out."""

    def spec(self) -> dict[str, Any]:
        """The spec file of the service with this chapter's package and rules."""
        document: dict[str, Any] = yaml.safe_load((ROOT / "examples" / FILES[self.service]).read_text())
        document["spec"]["model"]["uri"] = str(MODELS / self.package)
        if self.shadow is not None:
            document["spec"]["rollout"]["shadow"] = self.shadow or None
        return document


FILES = {"bert-ner": "ner.yaml", "resnet-digits": "digits.yaml"}
RATES = {"bert-ner": 150.0, "resnet-digits": 100.0}
"""Requests per second."""

FIRST = (
    Chapter("bert-ner", "bert-ner-1", "the first version", "promoted", "failed"),
    Chapter("resnet-digits", "resnet-digits-1", "the first version", "promoted", "failed"),
)
GOOD = (
    Chapter(
        "bert-ner",
        "bert-ner-2",
        "better trained; its answers are meant to differ",
        "promoted",
        "failed",
        {"share": "50%", "minPairs": 300, "maxDisagreement": "40%"},
    ),
    Chapter("resnet-digits", "resnet-digits-2", "better trained", "promoted", "failed"),
)
BAD = (
    Chapter(
        "bert-ner",
        "bert-ner-3-errors",
        "fails on texts beyond ASCII; its owner skips the shadow stage",
        "rolled back",
        "failed",
        {},
    ),
    Chapter("bert-ner", "bert-ner-3-slow", "thinks long about long texts", "rolled back", "slow"),
    Chapter("bert-ner", "bert-ner-3-worse", "worse answers, every status 200", "rolled back", "wrong"),
)
