"""LitServe: dynamic batching over one process a core, each with its own session, its fast queue (ZeroMQ),
JSON as it parses it itself. It takes no raw bodies: tensors and images come in a multipart form."""

from __future__ import annotations

from typing import Any

import litserve
import numpy as np
import rows
from fastapi import Response

WAIT = 0.001
"""Seconds to wait for a batch to fill; with 0 it polls, and takes a core for it."""


class Api(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self._session = rows.session()

    def decode_request(self, request):  # an annotation would tell LitServe what to parse
        if rows.WIRE != "json":
            return rows.decoded(request["body"].file.read())
        return {
            each["name"]: np.array(each["data"], rows.KINDS[each["datatype"]]).reshape(each["shape"])
            for each in request["inputs"]
        }

    def batch(self, inputs: list[Any]) -> list[Any]:
        return inputs

    def predict(self, x: Any) -> Any:
        return rows.answers(self._session, x)

    def unbatch(self, output: Any) -> Any:
        return output

    def encode_response(self, output: Any) -> Response:
        return Response(rows.encoded(output), media_type="application/json")


if __name__ == "__main__":
    api = Api(max_batch_size=rows.BATCH, batch_timeout=WAIT, api_path="/infer")
    server = litserve.LitServer(
        api, accelerator="cpu", workers_per_device=rows.CORES, fast_queue=True, timeout=60
    )
    server.run(
        port=rows.PORT, host="127.0.0.1", generate_client_file=False, log_level="warning", access_log=False
    )
