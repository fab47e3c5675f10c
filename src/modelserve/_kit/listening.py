"""Listening sockets that stop listening without losing anybody.

The kernel accepts connections for a program and keeps them in a queue. Closing the socket resets those that
the program has not taken yet, although their clients may have sent a request by then.
"""

from __future__ import annotations

import contextlib
import ctypes
import socket
import struct

_ATTACH_FILTER = 26
_PROGRAM = b"".join(
    struct.pack("=HBBI", *instruction)
    for instruction in (
        (0x30, 0, 0, 13),  # load the byte of TCP's flags
        (0x45, 0, 1, 0x02),  # is SYN among them?
        (0x06, 0, 0, 0),  # then drop the packet
        (0x06, 0, 0, 0xFFFFFFFF),  # else take it
    )
)
"""A classic BPF program, as Linux runs it on each packet for a socket, from its TCP header on."""


def admit_nobody_new(listener: socket.socket) -> None:
    """Let no further connection begin; those that have begun are still accepted.

    Once they were taken, the socket can be closed and none is lost. Whoever tries in between is not refused
    but unheard: TCP tries again a second later. Where the system can't do this (any but Linux), nothing
    happens.
    """
    program = ctypes.create_string_buffer(_PROGRAM, len(_PROGRAM))
    told = struct.pack("HP", len(_PROGRAM) // 8, ctypes.addressof(program))
    with contextlib.suppress(OSError):
        listener.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, told)
