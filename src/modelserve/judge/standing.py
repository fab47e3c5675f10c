"""``from modelserve import Judge``: the judge on two count streams, as an object."""

from __future__ import annotations

from typing import Any

from modelserve.domain.rollouts import Verdict
from modelserve.judge import tokens
from modelserve.judge.streams import Counts, Increment, Terms, begin, look, terms_of


class Judge:
    """Is the candidate worse than stable? It may be asked after every request.

    However often one asks, a candidate that is no worse is rolled back with probability at most
    ``false_rollback``, and one that is worse than the margin is promoted with probability at most
    ``false_promotion``. Settings are those of :class:`modelserve.judge.streams.Terms`: shares and times are
    texts such as ``"0.5%"`` and ``"30s"``.

        >>> judge = Judge(max_increase="0.5%")
        >>> judge.update(stable=(900, 1), candidate=(100, 30)).decision
        <Decision.ROLL_BACK: 'roll back'>

    Raises InvalidInput (``modelserve.errors``) for a setting that can't be.
    """

    def __init__(self, *, evidence: str = "", **settings: Any) -> None:
        self._terms: Terms = terms_of(settings)
        self._course = tokens.read(self._terms, evidence) if evidence else begin(self._terms)
        self.verdict: Verdict | None = None
        """The latest."""

    def update(
        self,
        stable: Counts | None = None,
        candidate: Counts | None = None,
        *,
        seconds: float = 1.0,
        weight: float | None = None,
        hard_failure: str = "",
    ) -> Verdict:
        """Add what each arm did since the last call, as (requests, bad ones); None: it was not seen.

        ``seconds`` is the time that it took, ``weight`` the share in 0..1 that the candidate was given.
        ``verdict.decision`` is ``"roll back"``, ``"promote"`` (to the next step), ``"continue"`` or
        ``"hold"``. Raises InvalidInput for counts that can't be.
        """
        seen = Increment(stable, candidate, seconds, weight, hard_failure=hard_failure)
        self._course, self.verdict = look(self._terms, self._course, seen)
        return self.verdict

    @property
    def evidence(self) -> str:
        """Everything seen so far, as a text of constant size: give it to a later Judge with the same
        settings, which goes on from here."""
        return tokens.write(self._terms, self._course)
