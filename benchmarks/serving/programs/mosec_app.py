"""mosec: dynamic batching over one process a core, each with its own session; tensors as bytes."""

from __future__ import annotations

from typing import Any

import rows
from mosec import Server, Worker

WAIT_MS = 1
"""The shortest that it can wait for a batch to fill."""


class Inference(Worker):
    def __init__(self) -> None:
        super().__init__()
        self._session = rows.session()

    def deserialize(self, data: bytes) -> Any:
        return rows.decoded(data)

    def forward(self, data: list[Any]) -> list[Any]:
        return rows.answers(self._session, data)

    def serialize(self, data: Any) -> bytes:
        return rows.encoded(data)


if __name__ == "__main__":
    server = Server()
    server.append_worker(
        Inference, num=rows.CORES, max_batch_size=rows.BATCH, max_wait_time=WAIT_MS, timeout=60
    )
    server.run()
