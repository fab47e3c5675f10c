from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from modelserve.domain.rollouts import (
    Decision,
    GuardrailReading,
    Phase,
    Revision,
    Rollout,
    Transition,
    Verdict,
)
from modelserve.stores.records import Records, open_records


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'records.db'}"


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> str:
    """Of an empty store, once for each database."""
    found: str = request.getfixturevalue(f"{request.param}_url")
    return found


@pytest.fixture
def records(url: str) -> Iterator[Records]:
    """An empty store that knows the service ``ner``."""
    records = open_records(url)
    records.put_service("ner", {"kind": "ModelService"}, None)
    yield records
    records.close()


VERDICT = Verdict(
    decision=Decision.ROLL_BACK,
    reasons=("error_rate: 7 % against 0.1 %",),
    readings=(
        GuardrailReading("error_rate", 0.001, 0.07, float("inf"), 4.6, float("-inf"), 3.0, True, None),
        GuardrailReading("latency_p99", None, None, 0.1 + 0.2, 4.6, -1e-300, 3.0, False, 1200),
    ),
    requests=812,
    metric="error_rate",
)


class Samples:
    """Records with every field set."""

    verdict = VERDICT

    @staticmethod
    def revision(number: int = 1, service: str = "ner") -> Revision:
        spec = {"spec": {"model": {"uri": "./ner"}, "steps": [0.01, 1.0]}, "note": "naïve 🙂"}
        return Revision(service, number, "sha256:ab", spec, "/artefacts/ab", 1_700_000_000.123456)

    @staticmethod
    def rollout(id: str = "r1", phase: Phase = Phase.CANARY, started: float = 100.5) -> Rollout:
        return Rollout(
            id=id,
            service="ner",
            stable="ner-00001",
            candidate="ner-00002",
            phase=phase,
            started=started,
            entered=started + 0.1,
            step=2,
            paused=True,
            resume_phase=Phase.SHADOW,
            evidence={"grid": [0.0, float("-inf"), float("inf"), 1e-308], "$odd": {"$": 1}, "empty": {}},
            cursor={"ner-00001/0": {"epoch": "e", "failures": 3}, "seen": None},
            verdict=VERDICT,
            totals={"stable_requests": 10**12},
            reason="two\nlines",
        )

    @staticmethod
    def transition(
        at: float = 100.25, before: Phase = Phase.SHADOW, after: Phase = Phase.CANARY
    ) -> Transition:
        return Transition("r1", at, before, after, 0.05, "enough pairs agree", VERDICT)


@pytest.fixture
def samples() -> type[Samples]:
    return Samples
