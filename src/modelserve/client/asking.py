"""What both clients share: how they are made, and the options of every call."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TypedDict

from modelserve.client.dialogues import Dialogues, Terms
from modelserve.client.retries import Retries
from modelserve.client.transports import DOOR, TransportOptions


class Options(TypedDict, total=False):
    """What any call may be told."""

    revision: str | None
    """Ask this revision, whatever the weights."""
    timeout: float | None
    """Seconds for this call, tries and waits between them included; None: the client's."""
    request_id: str | None
    """Name of the call in the server's log; None: one is made."""


class Asking(ABC):
    """Asks the models behind a front door, or one model server.

    ``url``
        Of the front door or of a model server, ``http://`` or ``https://``; a path in it is kept as a prefix.
    ``timeout``
        Seconds for one call, tries and waits between them included. The server is told what is left of it.
    ``retries``
        When to try again, and how much of that all calls together may do; see :class:`Retries`.
    ``binary``
        Tensors as binary data. None: if the server lists ``binary_tensor_data`` among its extensions.
    ``headers``
        Sent with every call.
    ``connections``
        Connections at the same time, at most; further calls wait for a free one. Idle ones are kept for
        ``keep_alive`` seconds.
    ``verify``
        False: take any certificate. A path: trust the authorities in this file.

    Every method takes ``revision``, ``timeout`` and ``request_id``; see :class:`Options`. It raises errors of
    :mod:`modelserve.errors`: what the server refused (``code``, ``status``, ``retryable``, ``request_id`` and
    ``revision`` say how and who), Unavailable where nobody answered, DeadlineExceeded where nobody did in
    time, BadAnswer where the answer makes no sense, InvalidInput for what cannot be asked.

    """

    def __init__(
        self,
        url: str = DOOR,
        *,
        timeout: float = 30.0,
        retries: Retries | None = None,
        binary: bool | None = None,
        headers: Mapping[str, str] | None = None,
        connections: int = 100,
        keep_alive: float = 15.0,
        verify: bool | str = True,
    ) -> None:
        self._timeout = timeout
        self._dialogues = Dialogues(retries or Retries(), binary, time.monotonic)
        self._open(TransportOptions(url, headers or {}, connections, keep_alive, verify))

    @abstractmethod
    def _open(self, options: TransportOptions) -> None:
        """Make the transport."""

    def _terms(self, options: Options) -> Terms:
        given = {name: value for name, value in options.items() if value is not None}
        return Terms(**{"timeout": self._timeout, **given})  # type: ignore[arg-type] # Options are Terms
