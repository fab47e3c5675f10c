"""A descriptor pool of our own for the generated messages.

Names in protobuf's default pool are the process's: a program that imports both these messages and another
library's of the same protocol (Triton's client has such) would be refused the second.
"""

from __future__ import annotations

from google.protobuf.descriptor_pool import DescriptorPool

_POOL = DescriptorPool()


def Default() -> DescriptorPool:  # noqa: N802 - what generated code calls
    return _POOL
