"""Port: runtimes."""

from modelserve.runtimes.choosing import runtime_for

__all__ = ["runtime_for"]
