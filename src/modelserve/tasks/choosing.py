"""From a package to the task that its model answers; a task's libraries are imported when it is asked for."""

from __future__ import annotations

from collections.abc import Callable

from modelserve.domain.models import ModelPackage
from modelserve.domain.models import Task as TaskName
from modelserve.errors import Unavailable
from modelserve.tasks.base import Task


def task_for(package: ModelPackage) -> Task | None:
    """The package's task, ready to prepare and finish; None where clients send plain tensors.

    Raises InvalidPackage for a tokenizer or preprocessor that can't be used, Unavailable if a library is not
    installed.
    """
    if package.task is TaskName.TENSOR:
        return None
    try:
        return _TASKS[package.task](package)
    except ModuleNotFoundError as error:
        raise Unavailable(
            f"task {package.task.value} needs {error.name}, which is not installed: "
            f"pip install 'modelserve[onnx]'"
        ) from error


def _token_classification(package: ModelPackage) -> Task:
    from modelserve.tasks.token_classification import TokenClassification

    return TokenClassification(package)


def _image_classification(package: ModelPackage) -> Task:
    from modelserve.tasks.image_classification import ImageClassification

    return ImageClassification(package)


_TASKS: dict[TaskName, Callable[[ModelPackage], Task]] = {
    TaskName.TOKEN_CLASSIFICATION: _token_classification,
    TaskName.IMAGE_CLASSIFICATION: _image_classification,
}
