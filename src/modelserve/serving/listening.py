"""Where a server listens, and how its process may end."""

from __future__ import annotations

import socket
from enum import IntEnum

BACKLOG = 2048


class ExitCode(IntEnum):
    STOPPED = 0
    CRASHED = 1
    MISUSED = 2
    UNFIT = 3
    """The package cannot be served; starting again would not help."""


def bind(host: str, port: int) -> socket.socket:
    """A listening socket. Raises OSError."""
    listener = socket.create_server((host, port), family=_family(host), backlog=BACKLOG)
    listener.setblocking(False)
    return listener


def bind_many(host: str, port: int, count: int) -> list[socket.socket]:
    """Listening sockets of one port, among which the kernel divides the connections. Raises OSError.

    Only a socket that does not share can tell that the port is somebody else's, so one is bound first.
    """
    bind(host, port).close()
    sockets: list[socket.socket] = []
    for _ in range(count):
        shared = socket.create_server((host, port), family=_family(host), backlog=BACKLOG, reuse_port=True)
        shared.setblocking(False)
        sockets.append(shared)
        port = shared.getsockname()[1]
    return sockets


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
