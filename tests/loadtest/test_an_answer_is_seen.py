"""Answers as bytes, whole and in pieces."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelserve.loadtest.connection import Connection
from modelserve.loadtest.tallies import Outcome
from modelserve.loadtest.wire import Seen, code_of, quick

GOOD = b"HTTP/1.1 200 OK\r\nx-modelserve-revision: m-1\r\ncontent-length: 2\r\n\r\n{}"
FULL = b'HTTP/1.1 503 No\r\ncontent-length: 21\r\nconnection: close\r\n\r\n{"code":"overloaded"}'


@dataclass
class Owner:
    """Remembers what it is told."""

    seen: list[Seen] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)

    def opened(self, _: Connection) -> None: ...

    def free(self, _: Connection) -> None: ...

    def closed(self, _: Connection) -> None: ...

    def answered(self, _: Connection, seen: Seen) -> None:
        self.seen.append(seen)

    def failed(self, _: Connection, outcome: Outcome) -> None:
        self.outcomes.append(outcome)


class Wire:
    """A transport that leads nowhere."""

    def write(self, data: bytes) -> None: ...

    def abort(self) -> None: ...


def connected() -> tuple[Owner, Any]:
    owner = Owner()
    connection: Any = Connection(owner)
    connection.connection_made(Wire())
    connection.ask(b"", 0.0)
    return owner, connection


def test_a_whole_answer_is_seen_at_a_glance() -> None:
    assert quick(GOOD) == Seen(b"200", b"m-1", b"", False)
    assert quick(FULL) == Seen(b"503", b"", b'{"code":"overloaded"}', True)


@given(st.sampled_from([GOOD, FULL]), st.lists(st.integers(1, 80), max_size=5))
def test_an_answer_in_pieces_is_the_same_answer(answer: bytes, cuts: list[int]) -> None:
    owner, connection = connected()
    places = sorted({0, len(answer), *(cut for cut in cuts if cut < len(answer))})
    for start, end in pairwise(places):
        connection.data_received(answer[start:end])
    assert owner.seen == [quick(answer)]


@given(st.binary(min_size=1, max_size=200))
def test_no_bytes_from_a_server_break_the_generator(data: bytes) -> None:
    owner, connection = connected()
    connection.data_received(data)
    connection.connection_lost(None)
    assert len(owner.seen) + len(owner.outcomes) == 1


@pytest.mark.parametrize("answer", [GOOD[:-1], GOOD + b"x", GOOD.replace(b": 2", b": x"), b"", b"\r\n\r\n"])
def test_what_is_not_whole_is_left_to_the_parser(answer: bytes) -> None:
    assert quick(answer) is None


@pytest.mark.parametrize("body", [b"", b"<", b"[]", b'{"code": 3}', b"{}"])
def test_a_body_without_a_code_has_none(body: bytes) -> None:
    assert code_of(body) == ""
