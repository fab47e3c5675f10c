"""Runtime: any other runtime, in a process of its own, so that its crash is not the server's.

::

    worker thread ─► IsolatedModel ─► Lane ═══ socket, shared memory ═══ Desk ─► model        host.py
                          │
                     Supervisor: starts, watches, replaces the processes
"""

from modelserve.runtimes.isolated.hosting import Hosting
from modelserve.runtimes.isolated.model import IsolatedModel

__all__ = ["Hosting", "IsolatedModel"]
