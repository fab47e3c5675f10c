"""A trial of a model at load: a few different rows run alone and in company, and their answers are compared.

The batches that the warm-up runs anyway are the company where they can be, and rows are short where they may
be, so that a trial costs little more than a run of each row by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence, Set
from itertools import cycle, islice

import numpy as np

from modelserve.batching.joining import Joiner, follows
from modelserve.batching.sharing import TOGETHER, Sharing, departure, one_length
from modelserve.domain.inference import Tensors
from modelserve.errors import (
    DeadlineExceeded,
    EngineDied,
    ModelServeError,
    NotReady,
    Overloaded,
    Unavailable,
)
from modelserve.runtimes.base import Model
from modelserve.serving.warming.samples import begun_late, cut, masked, others, with_gaps

MOST = 3
"""Other rows than the first."""
AWAY = (DeadlineExceeded, NotReady, Overloaded, Unavailable)
"""What says nothing of the model, but that the engine can't be asked just now."""

Run = Callable[[Tensors], Tensors]


class Trial:
    """Of one model, which answered ``answer`` to ``first``, a row.

    ``coarse``: it may round as accelerators do; ``gaps``: what it may put something of its own in the
    place of. Everything here raises what is :data:`AWAY`.
    """

    def __init__(
        self, model: Model, first: Tensors, answer: Tensors, *, coarse: bool, gaps: Set[float]
    ) -> None:
        self._model, self._coarse = model, coarse
        self._joiner = Joiner(model.signature, TOGETHER)
        self._first, self._answer, self._gaps = first, answer, gaps
        self._rows: list[Tensors] = []
        self._alone: list[Tensors] = []

    @property
    def rows(self) -> int:
        """Different rows that are compared."""
        return len(self._rows)

    def hindrance(self, most: int = MOST) -> str:
        """Run up to ``most`` other rows by themselves. Why a trial can't show anything; empty if it can."""
        self._keep(self._first, self._answer)
        try:
            self._try(others(self._first, self._model.signature), most)
            for value in sorted(self._gaps) if most == MOST else ():
                self._try(with_gaps(self._first, value), len(self._rows))
        except EngineDied as error:
            return f"its engine did not survive an input of exactly its signature's shapes: {error.message}"
        few = len(self._rows) < 2
        return "no two different inputs are known that the model answers with numbers" if few else ""

    def monotony(self) -> str:
        """Whether all rows got the same answer by themselves, which they then get in any company; empty if
        they did not."""
        alike = all(not departure(self._alone[0], each, self._coarse) for each in self._alone[1:])
        return "different inputs, as far as they are known, get equal answers" if alike else ""

    def miscount(self) -> str:
        """Which output has not one row for one row; empty if none."""
        for answer in self._alone:
            for name, data in answer.items():
                if data.shape[:1] != (1,):
                    return f'output "{name}" has shape {list(data.shape)} for one row'
        return ""

    def stray(self) -> str:
        """Which output has a length behind axis 0 that is no input's, where its spec leaves that open: it may
        be that of the longest row of a run. Empty if none."""
        for row, answer in zip(self._rows, self._alone, strict=True):
            known = {length for data in row.values() for length in data.shape[1:]}
            for spec in self._model.signature.outputs:
                lengths = zip(spec.shape[1:], answer[spec.name].shape[1:], strict=False)
                if own := [length for wanted, length in lengths if wanted == -1 and length not in known]:
                    return f'output "{spec.name}" is {own[0]} long where no input is'
        return ""

    def company(self, size: int, run: Run) -> str:
        """How answers change in a batch of so many rows, or that it fails; empty if they stay the same."""
        rows, alone = (list(islice(cycle(each), size)) for each in (self._rows, self._alone))
        return self._compare(rows, alone, run, self._joiner)

    def lengths(self) -> Sharing:
        """What holds of rows of different lengths, where those of one length may share a run: whether answers
        change as short rows are padded to the length of another."""
        length = self._joiner.fit(self._first).length
        if not length:
            return TOGETHER
        if length < 2:
            return one_length("no input of more than one token is known")
        rows = [self._first, cut(self._first, self._model.signature, length // 2)]
        try:
            alone = [self._answer, self._model.predict(rows[1])]
            self._add_late(rows, alone)
        except AWAY:
            raise
        except ModelServeError as error:
            return one_length(f"shorter inputs fail: {error.message}")
        sharing = Sharing(True, widths=self._widths(rows, alone))
        why = self._compare(rows, alone, self._model.predict, Joiner(self._model.signature, sharing))
        return one_length(why) if why else sharing

    def _add_late(self, rows: list[Tensors], alone: list[Tensors]) -> None:
        """Add a short row that its sender has padded on the left, if the model takes one."""
        for late in begun_late(rows[-1]):
            try:
                alone.append(self._model.predict(late))
            except (*AWAY, EngineDied):
                raise
            except ModelServeError:
                return
            rows.append(late)

    def _widths(self, rows: Sequence[Tensors], alone: Sequence[Tensors]) -> frozenset[str]:
        """The outputs whose axis 1 is not as long as the row's tokens are many."""
        lengths = [self._joiner.fit(row).length for row in rows]
        return frozenset(
            name
            for name in follows(self._model.signature) & alone[0].keys()
            if [answer[name].shape[1] for answer in alone] != lengths
        )

    def _try(self, rows: Iterable[Tensors], most: int) -> None:
        """Run rows by themselves until ``most`` others are known. One that the model does not take shows
        nothing."""
        for row in rows:
            if len(self._rows) > most:
                return
            try:
                self._keep(row, self._model.predict(row))
            except (*AWAY, EngineDied):
                raise
            except ModelServeError:
                continue

    def _keep(self, row: Tensors, answer: Tensors) -> None:
        """Unless all that it was answered is no number: that is the same in any company."""
        if not all(data.dtype.kind == "f" and np.isnan(data).all() for data in answer.values()):
            self._rows.append(row)
            self._alone.append(answer)

    def _compare(self, rows: Sequence[Tensors], alone: Sequence[Tensors], run: Run, joiner: Joiner) -> str:
        fits = [joiner.fit(row) for row in rows]
        try:
            pieces = joiner.split(run(joiner.assemble(rows, fits)), fits)
        except AWAY:
            raise
        except ModelServeError as error:
            return f"{len(rows)} rows in one run: {error.message}"
        found = (
            departure(masked(one, row), masked(other, row), self._coarse)
            for one, other, row in zip(alone, pieces, rows, strict=True)
        )
        return next(filter(None, found), "")
