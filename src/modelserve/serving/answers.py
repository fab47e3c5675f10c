"""Sampled answers, kept in memory for whoever compares two revisions' answers to the same request."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson

from modelserve.serving.predictions import KEPT, PredictionLog

LIMIT = 1000
"""Answers in one reading, at most; ids in one question."""
BUDGET = 32 * 1024 * 1024
"""Bytes of all answers kept."""

Json = dict[str, Any]


class AnswerLog:
    """The newest answers, at most ``kept`` and ``budget`` bytes of JSON, numbered from 1 in each epoch (one
    process's life). ``clock`` tells Unix seconds."""

    def __init__(
        self,
        kept: int,
        epoch: str,
        budget: int = BUDGET,
        clock: Callable[[], float] = time.time,
        predictions: int = KEPT,
    ) -> None:
        self.predictions = PredictionLog(predictions, epoch)
        self._kept, self._budget, self._epoch, self._clock = kept, budget, epoch, clock
        self._answers: dict[int, tuple[str, bytes]] = {}
        """By number, the oldest first: whose they are, and as JSON."""
        self._numbers: dict[str, list[int]] = {}
        """By request id."""
        self._last = self._size = self._originals = 0

    def add(
        self, request_id: str, arm: str, status: int, answer: Json | None, asked: Json | None = None
    ) -> None:
        """``answer`` is None where the call failed with ``status``; ``asked`` is what is kept of the request,
        None where nothing may be."""
        self._last += 1
        self._originals += arm != "shadow"
        told = {"seq": self._last, "id": request_id, "arm": arm, "status": status, "answer": answer}
        told |= {"at": round(self._clock(), 3)} | ({"input": asked} if asked is not None else {})
        line = orjson.dumps(told)
        self._answers[self._last] = request_id, line
        self._numbers.setdefault(request_id, []).append(self._last)
        self._size += len(line)
        while len(self._answers) > self._kept or self._size > self._budget:
            self._forget()

    def _forget(self) -> None:
        oldest = next(iter(self._answers))
        request_id, line = self._answers.pop(oldest)
        self._size -= len(line)
        numbers = self._numbers[request_id]
        numbers.remove(oldest)
        if not numbers:
            del self._numbers[request_id]

    def after(self, seq: int, limit: int = LIMIT) -> bytes:
        """Answers with a number above ``seq``, oldest first, as the JSON of ``schemas.AnswerPage``.

        ``next`` is the ``after`` of the next reading. ``oldest`` is the number of the oldest answer kept
        (of the next one to come if none is): answers between ``after`` and ``oldest`` were lost.
        """
        oldest = self._last - len(self._answers) + 1
        first = max(seq + 1, oldest)
        numbers = range(first, min(first + limit, self._last + 1))
        reached = numbers[-1] if numbers else self._last
        head = orjson.dumps({"epoch": self._epoch, "next": reached, "oldest": oldest})
        return _joined(head, (self._answers[number][1] for number in numbers))

    def of(self, ids: Iterable[str]) -> bytes:
        """The answers to these requests, as the JSON of ``schemas.FoundAnswers``.

        ``originals`` is how many answers to clients were sampled since the process started.
        """
        numbers = [
            number for request_id in dict.fromkeys(ids) for number in self._numbers.get(request_id, ())
        ]
        head = orjson.dumps({"epoch": self._epoch, "originals": self._originals})
        return _joined(head, (self._answers[number][1] for number in numbers))

    def remember(self, request_id: str, arm: str, predicted: Json, parts: Mapping[str, str]) -> None:
        """Keep what was predicted, in short, for labels that come later."""
        self.predictions.add(request_id, arm, predicted, parts)


def _joined(head: bytes, answers: Iterable[bytes]) -> bytes:
    return b'%s,"answers":[%s]}' % (head[:-1], b",".join(answers))
