"""The client for threads."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Self, TypeVar, Unpack, overload

from modelserve.client.asking import Asking, Options
from modelserve.client.calls import Question
from modelserve.client.dialogues import Dialogue, Outcome, Send
from modelserve.client.images import Image
from modelserve.client.results import InferResult, ModelMetadata, Prediction, Predictions, ServerMetadata
from modelserve.client.transports import Transport, TransportOptions

T = TypeVar("T")


class Client(Asking):
    __doc__ = (Asking.__doc__ or "") + "Safe to share between threads."

    def _open(self, options: TransportOptions) -> None:
        self._transport = Transport(options)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._transport.close()

    def infer(
        self,
        model: str,
        inputs: Mapping[str, Any],
        *,
        outputs: Sequence[str] = (),
        **options: Unpack[Options],
    ) -> InferResult:
        """Named tensors in, named tensors out (Open Inference Protocol v2).

        ``inputs``: arrays, or what numpy makes arrays of, the batch axis first; the element type must be the
        model's. Strings are arrays of str, bytes or objects; they come back as objects of bytes.
        ``outputs``: the names wanted; empty: all.
        """
        return self._run(self._dialogues.infer(model, inputs, outputs, self._terms(options)))

    @overload
    def predict(self, model: str, *, text: str, **options: Unpack[Options]) -> Prediction: ...
    @overload
    def predict(self, model: str, *, image: Image, **options: Unpack[Options]) -> Prediction: ...
    @overload
    def predict(self, model: str, *, texts: Sequence[str], **options: Unpack[Options]) -> Predictions: ...
    @overload
    def predict(self, model: str, *, images: Sequence[Image], **options: Unpack[Options]) -> Predictions: ...
    def predict(
        self,
        model: str,
        *,
        text: str | None = None,
        texts: Sequence[str] | None = None,
        image: Image | None = None,
        images: Sequence[Image] | None = None,
        **options: Unpack[Options],
    ) -> Prediction | Predictions:
        """A text or an image in, entities or labels out; several in one call with ``texts`` or ``images``.

        An image is a path, an encoded file's bytes, or an array of uint8 (height x width [x 1, 3 or 4]).
        """
        question = Question(text, texts, image, images)
        return self._run(self._dialogues.predict(model, question, self._terms(options)))

    @overload
    def metadata(self, model: None = None, **options: Unpack[Options]) -> ServerMetadata: ...
    @overload
    def metadata(self, model: str, **options: Unpack[Options]) -> ModelMetadata: ...
    def metadata(
        self, model: str | None = None, **options: Unpack[Options]
    ) -> ServerMetadata | ModelMetadata:
        """What the server is; with ``model``, the tensors that the model takes and gives."""
        terms = self._terms(options)
        if model is None:
            return self._run(self._dialogues.server_metadata(terms))
        return self._run(self._dialogues.model_metadata(model, terms))

    def live(self, **options: Unpack[Options]) -> bool:
        """Whether the server answers. Asks once."""
        return self._run(self._dialogues.live(self._terms(options)))

    def ready(self, model: str | None = None, **options: Unpack[Options]) -> bool:
        """Whether the server, or with ``model`` that model, answers questions now. Asks once.

        Raises UnknownModel or UnknownRevision for what the server does not have.
        """
        return self._run(self._dialogues.ready(model, self._terms(options)))

    def _run(self, dialogue: Dialogue[T]) -> T:
        outcome: Outcome = None
        try:
            while True:
                step = dialogue.send(outcome)
                if isinstance(step, Send):
                    outcome = self._transport.send(step.call, step.timeout)
                else:
                    time.sleep(step.seconds)
                    outcome = None
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return] # typeshed: Any
