"""Memory that two processes share, for payloads too large to be copied through a socket twice."""

from __future__ import annotations

import fcntl
import mmap
import os

import numpy as np

from modelserve.domain.inference import Array

_ADD_SEALS = 1033
_SEALED = 0x1 | 0x2 | 0x4  # no more seals, no shrinking, no growing


class Arena:
    """A mapping of a file in memory. Its size is sealed: a process that cut it short would kill the other."""

    def __init__(self, descriptor: int, size: int) -> None:
        """Map the file; ``descriptor`` is not needed afterwards and stays the caller's to close."""
        self.size = size
        self._mapping = mmap.mmap(descriptor, size)

    def view(self) -> Array:
        """All of it, as UINT8. The memory stays mapped as long as this or a view of it is alive."""
        return np.frombuffer(self._mapping, np.uint8)


def sealed_file(size: int) -> int:
    """The descriptor of a new file in memory of this size. Raises OSError."""
    descriptor = os.memfd_create("modelserve", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(descriptor, size)
        fcntl.fcntl(descriptor, _ADD_SEALS, _SEALED)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def roomy(size: int) -> int:
    """Bytes of an arena for payloads of ``size``: the next power of two, so that growth is rare."""
    return max(mmap.PAGESIZE, 1 << (size - 1).bit_length())
