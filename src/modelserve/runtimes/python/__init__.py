"""Runtime: a class of the package's own, in the process that calls it.

``load`` runs the package's code: only a process that ``runtimes.isolated`` has started calls it.
"""

from modelserve.runtimes.python.loading import PythonRuntime

__all__ = ["PythonRuntime"]
