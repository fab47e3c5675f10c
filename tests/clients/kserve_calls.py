"""A program for KServe's own client: every call that it has, as KServe's documentation makes it.

``python kserve_calls.py HTTP_URL GRPC_ADDRESS [NAME=VALUE ...]``; the rest are metadata of the gRPC calls.
The model is the bundled ``resnet-digits``, asked for tensors. Needs kserve, and nothing of ModelServe.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable
from typing import Any

import grpc
import httpx
import numpy as np
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest
from kserve.inference_client import RESTConfig
from kserve.protocol.infer_type import RequestedOutput

MODEL = "resnet-digits"
ROWS = np.random.default_rng(7).random((2, 3, 32, 32), np.float32)


def asked(binary: bool, **more: object) -> InferRequest:
    pixels = InferInput("pixel_values", list(ROWS.shape), "FP32")
    pixels.set_data_from_numpy(ROWS, binary_data=binary)
    return InferRequest(MODEL, [pixels], request_id="7", **more)


async def failure(call: Awaitable[object]) -> Any:
    try:
        await call
    except (httpx.HTTPStatusError, grpc.RpcError) as error:
        return error
    raise AssertionError("it was answered")


async def v1(url: str) -> np.ndarray:
    client = InferenceRESTClient(RESTConfig(protocol="v1", timeout=30))
    assert await client.is_server_live(url)
    assert await client.is_model_ready(url, MODEL)
    answer = await client.infer(url, {"instances": ROWS.tolist()}, MODEL)
    assert (await failure(client.infer(url, {"instances": []}, MODEL))).response.status_code == 400
    await client.close()
    return np.array(answer["predictions"])


async def v2(url: str) -> np.ndarray:
    client = InferenceRESTClient(RESTConfig(protocol="v2", timeout=30))
    assert await client.is_server_live(url)
    assert await client.is_server_ready(url)
    assert await client.is_model_ready(url, MODEL)
    assert not await client.is_model_ready(url, "other")
    answer = await client.infer(url, asked(binary=False), MODEL)
    assert (answer.model_name, answer.id) == (MODEL, "7")
    binary = await client.infer(
        url, asked(binary=True, request_outputs=[RequestedOutput("logits", {"binary_data": True})]), MODEL
    )
    logits = answer.outputs[0].as_numpy()
    np.testing.assert_allclose(binary.outputs[0].as_numpy(), logits, rtol=1e-4)
    await client.close()
    return logits


async def over_grpc(address: str, metadata: list[tuple[str, str]]) -> np.ndarray:
    client = InferenceGRPCClient(address, timeout=30)
    assert await client.is_server_live(headers=metadata)
    assert await client.is_server_ready(headers=metadata)
    assert await client.is_model_ready(MODEL, headers=metadata)
    answer = await client.infer(asked(binary=False), headers=metadata)
    assert (answer.model_name, answer.id) == (MODEL, "7")
    binary = await client.infer(asked(binary=True), headers=metadata)
    logits = answer.outputs[0].as_numpy()
    np.testing.assert_allclose(binary.outputs[0].as_numpy(), logits, rtol=1e-4)
    empty = await failure(client.infer(InferRequest(MODEL, []), headers=metadata))
    assert empty.code() is grpc.StatusCode.INVALID_ARGUMENT
    await client.close()
    return logits


async def main(url: str, address: str, *metadata: str) -> None:
    told = [tuple(each.split("=", 1)) for each in metadata]
    rest = await v2(url)
    assert rest.shape == (2, 10)
    np.testing.assert_allclose(await v1(url), rest, rtol=1e-4)
    np.testing.assert_allclose(await over_grpc(address, told), rest, rtol=1e-4)
    print("agreed")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
