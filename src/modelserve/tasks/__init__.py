"""Port: tasks."""

from modelserve.tasks.choosing import task_for

__all__ = ["task_for"]
