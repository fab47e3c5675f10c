"""One end of the socket between a model server and the process that runs its engine.

Each end says one thing and then listens: there is never more than one message under way.
"""

from __future__ import annotations

import array
import os
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from modelserve.domain.inference import Array
from modelserve.runtimes.isolated.frames import PREFIX, size_of, write_into

INLINE = 64 * 1024
"""Bytes of a payload up to which it goes through the socket in one piece; larger ones lie in an arena."""
_ROOM = 2 * INLINE
_MOST_DESCRIPTORS = 2
_LARGEST_HEAD = 16 * 1024 * 1024
_ANCILLARY = socket.CMSG_SPACE(_MOST_DESCRIPTORS * array.array("i").itemsize)


@dataclass(frozen=True, slots=True)
class Message:
    """``payload`` is UINT8 and the receiver's own; ``descriptors`` are the receiver's to close."""

    head: Mapping[str, Any]
    payload: Array
    descriptors: Sequence[int] = ()


class Channel:
    """Raises EOFError where the other end is gone, TimeoutError if the socket has a timeout and it passes."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._buffer = bytearray(_ROOM)
        self._window = memoryview(self._buffer)

    def send(
        self, head: Mapping[str, Any], buffers: Sequence[Array] = (), descriptors: Iterable[int] = ()
    ) -> None:
        """Send one message; the buffers (UINT8) are its payload."""
        payload = np.empty(size_of(buffers), np.uint8)
        write_into(payload, buffers)
        text = orjson.dumps(head)
        parts = PREFIX.pack(len(text), payload.nbytes) + text, payload.data
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
        try:
            sent = self._socket.sendmsg(parts, rights if descriptors else ())
            self._send_rest(parts, sent)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise EOFError from error

    def _send_rest(self, parts: Sequence[bytes | memoryview], sent: int) -> None:
        for part in parts:
            if sent < len(part):
                self._socket.sendall(memoryview(part)[sent:])
            sent = max(0, sent - len(part))

    def receive(self) -> Message:
        """Wait for one message."""
        got, descriptors = self._first()
        while got < PREFIX.size:
            got += self._more(self._window[got:])
        length, size = PREFIX.unpack_from(self._buffer)
        if length > _LARGEST_HEAD:
            raise EOFError("this is no message")
        begin = PREFIX.size + length
        whole = self._window if begin <= _ROOM else memoryview(bytearray(begin))
        whole[:got] = self._window[:got]
        while got < begin:
            got += self._more(whole[got:begin])
        payload = np.empty(size, np.uint8)
        self._fill(payload, whole[begin:got])
        return Message(orjson.loads(whole[PREFIX.size : begin]), payload, descriptors)

    def _fill(self, payload: Array, begun: memoryview) -> None:
        payload[: len(begun)] = begun
        rest = payload.data[len(begun) :]
        while len(rest):
            rest = rest[self._more(rest) :]

    def _first(self) -> tuple[int, list[int]]:
        try:
            got, told, _, _ = self._socket.recvmsg_into([self._buffer], _ANCILLARY, socket.MSG_CMSG_CLOEXEC)
        except ConnectionResetError as error:
            raise EOFError from error
        if not got:
            raise EOFError
        found = array.array("i")
        for _, _, content in told:
            found.frombytes(content)
        return got, list(found)

    def _more(self, target: memoryview) -> int:
        try:
            got = self._socket.recv_into(target)
        except ConnectionResetError as error:
            raise EOFError from error
        if not got:
            raise EOFError
        return got

    def shut(self) -> None:
        """Wake whoever waits on this socket, in this process or the other, with EOFError."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            return

    def close(self) -> None:
        self._socket.close()


def close_all(descriptors: Iterable[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
