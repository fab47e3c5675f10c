"""One run of the longest input that a task lets through: a model may take less than its package says."""

from __future__ import annotations

from modelserve.batching.cost import CostModel
from modelserve.domain.inference import Tensors
from modelserve.errors import InvalidInput, InvalidPackage, ModelServeError
from modelserve.serving.served import Loaded
from modelserve.tasks.base import Bounded

SECONDS = 0.5
"""What a run of the longest input may take to be tried, by what shorter ones took."""


def try_longest(loaded: Loaded, cost: CostModel) -> None:
    """Run it where that takes little. Raises InvalidPackage if it fails: no client could mend that."""
    task = loaded.task
    if not isinstance(task, Bounded) or not cost.known:
        return
    try:
        tensors = task.of_length(task.most)
    except InvalidInput:  # no text is known that its tokenizer takes
        return
    if cost.seconds(loaded.joiner.fit(tensors).cost) > SECONDS:
        return
    if (error := _failure(loaded, tensors)) is not None:
        fits = _longest_fit(loaded, task)
        advice = (
            f"write limits.maxLength: {fits} into modelserve.yaml" if fits else "shorter ones fail as well"
        )
        raise InvalidPackage(
            f"{loaded.package.model_file.name}: fails on {task.most} tokens, the most that config.json and "
            f"modelserve.yaml let through: {error.message}; {advice}"
        ) from error


def _longest_fit(loaded: Loaded, task: Bounded) -> int:
    """The most that the model takes, where ``most`` is too much; 0 if it takes nothing. Found by halving."""
    fits, fails = 0, task.most
    while fails - fits > 1:
        middle = (fits + fails) // 2
        if _failure(loaded, task.of_length(middle)) is None:
            fits = middle
        else:
            fails = middle
    return fits


def _failure(loaded: Loaded, tensors: Tensors) -> ModelServeError | None:
    try:
        loaded.model.predict(tensors)
    except ModelServeError as error:
        return error
    return None
