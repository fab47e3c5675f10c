"""A trial of a model at load: a few different rows run alone and in company, and their answers are compared.

The batches that the warm-up runs anyway are the company, so that a trial costs little more than a run of each
row by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import cycle, islice

from modelserve.batching.joining import Joiner
from modelserve.batching.sharing import TOGETHER, departure
from modelserve.domain.inference import Tensors
from modelserve.errors import ModelServeError
from modelserve.runtimes.base import Model, is_accelerated
from modelserve.serving.warming.samples import LENGTH, cut, others

LEAST = 4
"""Rows of the largest batch that a trial needs: one of three different rows is in it twice."""

Run = Callable[[Tensors], Tensors]


class Trial:
    """Of one model, which takes ``first``, a row. ``coarse``: it may round as accelerators do."""

    def __init__(self, model: Model, first: Tensors, coarse: bool) -> None:
        self._model, self._coarse = model, coarse or is_accelerated(model)
        self._joiner = Joiner(model.signature, TOGETHER)
        self._rows, self._alone = [first], [model.predict(first)]

    def hindrance(self) -> str:
        """Run other rows by themselves. Why the trial can show nothing; empty if it can.

        Raises ModelServeError if the model fails on the first row, which it took before.
        """
        (first,), (answer,) = self._rows, self._alone
        if apart := departure(answer, self._model.predict(first), self._coarse):
            return f"equal inputs get different answers: {apart}"
        for row in others(first):
            try:
                answer = self._model.predict(row)
            except ModelServeError:  # a row that the model does not take shows nothing
                continue
            self._rows.append(row)
            self._alone.append(answer)
        if len(self._rows) == 1:
            return "no two different inputs are known that the model takes"
        alike = all(not departure(self._alone[0], each, self._coarse) for each in self._alone[1:])
        return "different inputs, as far as they are known, get equal answers" if alike else ""

    def miscount(self) -> str:
        """Which output has not one row for one row; empty if none."""
        for answer in self._alone:
            for name, data in answer.items():
                if data.shape[:1] != (1,):
                    return f'output "{name}" has shape {list(data.shape)} for one row'
        return ""

    def company(self, size: int, run: Run) -> str:
        """How answers change in a batch of so many rows, or that it fails; empty if they stay the same."""
        rows, alone = (list(islice(cycle(each), size)) for each in (self._rows, self._alone))
        return self._compare(rows, alone, run)

    def padding(self) -> str:
        """How answers change where a short row is padded to the length of another; empty if they don't."""
        first = self._rows[0]
        long = min(LENGTH, self._joiner.fit(first).length)
        if long < 2:
            return ""
        rows = [cut(first, self._model.signature, length) for length in (long, long // 2)]
        try:
            alone = [self._model.predict(row) for row in rows]
        except ModelServeError as error:
            return f"shorter inputs fail: {error.message}"
        return self._compare(rows, alone, self._model.predict)

    def _compare(self, rows: Sequence[Tensors], alone: Sequence[Tensors], run: Run) -> str:
        fits = [self._joiner.fit(row) for row in rows]
        try:
            pieces = self._joiner.split(run(self._joiner.assemble(rows, fits)), fits)
        except ModelServeError as error:
            return f"{len(rows)} rows in one run: {error.message}"
        found = (departure(*each, self._coarse) for each in zip(alone, pieces, strict=True))
        return next(filter(None, found), "")
