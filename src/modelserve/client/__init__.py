"""A client for ModelServe's front door and its model servers.

>>> from modelserve import Client
>>> with Client("http://127.0.0.1:8080") as client:
...     client.predict("bert-ner", text="Ada Lovelace met Charles Babbage in London").entities

``AsyncClient`` is its twin. What both do is in ``dialogues`` (pure: it asks to send and to wait), what
they say and understand in ``calls``, ``tensors``, ``answers`` and ``faults``; ``transports`` alone touches
sockets. Every failure is an error of :mod:`modelserve.errors`, or :class:`BadAnswer` for an answer that makes
no sense.
"""

from modelserve.client.faults import BadAnswer
from modelserve.client.results import (
    InferResult,
    ModelMetadata,
    Prediction,
    Predictions,
    ServerMetadata,
)
from modelserve.client.retries import Retries
from modelserve.client.threaded import Client
from modelserve.client.waiting import AsyncClient

__all__ = [
    "AsyncClient",
    "BadAnswer",
    "Client",
    "InferResult",
    "ModelMetadata",
    "Prediction",
    "Predictions",
    "Retries",
    "ServerMetadata",
]
