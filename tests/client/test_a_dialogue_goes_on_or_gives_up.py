"""The rules of retries without a socket: time is a number that the test moves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson
import pytest

from modelserve.client.dialogues import Dialogues, Send, Terms, Wait
from modelserve.client.messages import Reply
from modelserve.client.retries import Budget, Retries
from modelserve.errors import DeadlineExceeded, InvalidInput, ModelFailed, Overloaded, Unavailable


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def play(retries: Retries, outcome: Any, timeout: float = 10.0, cost: float = 0.0) -> tuple[list[Any], Any]:
    """All steps of a call whose tries all end with ``outcome`` after ``cost`` seconds, and its end."""
    clock = Clock()
    return follow(Dialogues(retries, False, clock).server_metadata(Terms(timeout)), clock, outcome, cost)


def follow(dialogue: Any, clock: Clock, outcome: Any, cost: float | None = None) -> tuple[list[Any], Any]:
    """The same for a dialogue; without ``cost``, each try takes all the time that it is given."""
    steps: list[Any] = []
    given: Any = None
    try:
        while True:
            steps.append(dialogue.send(given))
            clock.now += _seconds(steps[-1], cost)
            given = outcome if isinstance(steps[-1], Send) else None
    except StopIteration as done:
        return steps, done.value
    except (Unavailable, Overloaded, DeadlineExceeded, ModelFailed) as error:
        return steps, error


def _seconds(step: Send | Wait, cost: float | None) -> float:
    if isinstance(step, Wait):
        return step.seconds
    return step.timeout if cost is None else cost


def waits(steps: list[Any]) -> list[float]:
    return [step.seconds for step in steps if isinstance(step, Wait)]


def test_an_answer_ends_it() -> None:
    steps, value = play(Retries(), Reply(200, {}, orjson.dumps({"name": "a", "version": "b"})))
    assert (len(steps), value.name) == (1, "a")


def test_delays_grow_and_stay_below_their_bound() -> None:
    retries = Retries(attempts=6, first_delay=0.1, longest_delay=0.5)
    bounds = [0.1, 0.2, 0.4, 0.5, 0.5]
    for _ in range(20):
        steps, error = play(retries, Unavailable("no"))
        assert isinstance(error, Unavailable)
        assert all(wait <= bound for wait, bound in zip(waits(steps), bounds, strict=True))


def test_retry_after_is_kept_to_and_a_little_more() -> None:
    assert Retries().delay(1, Overloaded("full", retry_after=4.0), lambda: 0.0) == 4.0
    assert Retries().delay(1, Overloaded("full", retry_after=4.0), lambda: 1.0) == 5.0


def test_no_try_begins_after_the_deadline() -> None:
    steps, _ = play(Retries(attempts=99, first_delay=0, reserve=99), Unavailable("no"), timeout=1.0, cost=0.3)
    sent = [step for step in steps if isinstance(step, Send)]
    assert [round(step.timeout, 1) for step in sent] == [1.0, 0.7, 0.4, 0.1]


def test_a_budget_is_filled_by_calls_and_emptied_by_retries() -> None:
    budget = Budget(Retries(share=0.2, reserve=2))
    assert [budget.spend() for _ in range(3)] == [True, True, False]
    for _ in range(6):
        budget.earn()
    assert [budget.spend() for _ in range(2)] == [True, False]
    for _ in range(1000):
        budget.earn()
    assert [budget.spend() for _ in range(3)] == [True, True, False]


def test_no_retries_means_none() -> None:
    assert len(play(Retries(attempts=1), Unavailable("no"))[0]) == 1
    assert len(play(Retries(reserve=0, share=0), Unavailable("no"))[0]) == 1


@pytest.mark.parametrize("wrong", [{"attempts": 0}, {"share": -0.1}, {"first_delay": -1}, {"reserve": -1}])
def test_rules_that_make_no_sense_are_refused(wrong: Any) -> None:
    with pytest.raises(InvalidInput, match=next(iter(wrong))):
        Retries(**wrong)


@pytest.mark.parametrize("timeout", [0, -1, float("nan")])
def test_a_time_that_is_none_is_refused(timeout: float) -> None:
    with pytest.raises(InvalidInput, match="timeout"):
        play(Retries(), None, timeout=timeout)


def test_the_question_for_extensions_takes_its_time_from_the_call() -> None:
    clock = Clock()
    dialogue = Dialogues(Retries(), None, clock).infer("m", {"x": [1.0]}, (), Terms(1.0))
    steps, error = follow(dialogue, clock, DeadlineExceeded("late"))
    assert [(step.call.path, step.timeout) for step in steps] == [("/v2", 0.5), ("/v2/models/m/infer", 0.5)]
    assert (clock.now, str(error)) == (1.0, "late")


def test_nothing_is_sent_once_the_question_for_extensions_took_all_the_time() -> None:
    clock = Clock()
    dialogue = Dialogues(Retries(), None, clock).infer("m", {"x": [1.0]}, (), Terms(1.0))
    steps, error = follow(dialogue, clock, Unavailable("no"), cost=1.5)
    assert len(steps) == 1
    assert isinstance(error, DeadlineExceeded)


NAN = {"x": [float("nan")]}
TELLS = Reply(200, {}, orjson.dumps({"name": "a", "version": "b", "extensions": ["binary_tensor_data"]}))
TELLS_NONE = Reply(200, {}, orjson.dumps({"name": "a", "version": "b", "extensions": []}))


@pytest.mark.parametrize("inputs", [NAN, {"x": [float("inf")]}, {"x": [b"\xff"]}])
def test_what_json_cannot_say_is_sent_as_bytes_where_the_server_has_not_told(inputs: Any) -> None:
    clock = Clock()
    dialogues = Dialogues(Retries(), None, clock)
    for expected in (2, 1):  # the second call does not ask for the extensions again
        steps, _ = follow(dialogues.infer("m", inputs, (), Terms(1.0)), clock, ModelFailed("no"), cost=0.1)
        assert len(steps) == expected
        assert steps[-1].call.headers["content-type"] == "application/octet-stream"


@pytest.mark.parametrize("binary", [False, None])
def test_what_json_cannot_say_is_refused_where_the_server_speaks_nothing_else(binary: Any) -> None:
    dialogue = Dialogues(Retries(), binary, Clock()).infer("m", NAN, (), Terms(1.0))
    with pytest.raises(InvalidInput, match="which JSON cannot say"):
        follow(dialogue, Clock(), TELLS_NONE, cost=0.1)


def test_a_call_waits_for_the_question_of_another() -> None:
    clock = Clock()
    dialogues = Dialogues(Retries(), None, clock)
    first, second = (dialogues.infer("m", {"x": [1.0]}, (), Terms(1.0)) for _ in range(2))
    assert next(first).call.path == "/v2"
    assert isinstance(next(second), Wait)
    first.send(TELLS)
    sent = second.send(None)
    assert sent.call.headers["content-type"] == "application/octet-stream"


def test_a_call_waits_no_longer_for_the_question_of_another_than_for_its_own() -> None:
    clock = Clock()
    dialogues = Dialogues(Retries(), None, clock)
    first = dialogues.infer("m", {"x": [1.0]}, (), Terms(10.0))
    next(first)
    steps, _ = follow(dialogues.infer("m", {"x": [1.0]}, (), Terms(1.0)), clock, Unavailable("no"))
    sent = next(step for step in steps if isinstance(step, Send))
    assert sent.call.path == "/v2/models/m/infer"
    assert sent.timeout == pytest.approx(0.5)


@pytest.mark.parametrize("how", [lambda call: call.send(Unavailable("no")), lambda call: call.close()])
def test_a_call_does_not_wait_for_a_question_that_ended_without_an_answer(how: Any) -> None:
    clock = Clock()
    dialogues = Dialogues(Retries(), None, clock)
    first, second = (dialogues.infer("m", {"x": [1.0]}, (), Terms(1.0)) for _ in range(2))
    next(first)
    assert isinstance(next(second), Wait)
    how(first)
    assert second.send(None).call.headers["content-type"] == "application/json"
