"""Which part of each segment a call belongs to: the tenant that its header names, its size, its answer.

Nothing is divided until somebody asks for it, which an observer does during a rollout whose guardrails name
segments. A server that nobody asked spends nothing on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from modelserve.domain.guardrails import Segment
from modelserve.domain.inference import Array, Entity, InferenceResponse

NONE = "none"
"""The part of what has none: the header was not sent, there was no answer."""
LONGEST = 64
"""Characters of a part's name."""
SIZES = (
    "under 10 B", "10 B to 100 B", "100 B to 1 kB", "1 kB to 10 kB", "10 kB to 100 kB", "100 kB to 1 MB",
    "1 MB to 10 MB", "10 MB to 100 MB", "100 MB and more",
)  # fmt: skip
CLASSES = 1000
"""Numbers in a row of an output up to which they are taken for the scores of classes."""

Headers = Iterable[tuple[bytes, bytes]]


class Division:
    """How one call is divided; ``named`` holds the parts that its headers name, by segment."""

    __slots__ = ("_named", "_segments")

    def __init__(self, segments: tuple[Segment, ...], named: Mapping[str, str]) -> None:
        self._segments, self._named = segments, named

    def parts(self, size: int | None, response: InferenceResponse | None) -> dict[str, str]:
        """The call's part in each segment. ``size`` is the body's in bytes; a failure has no response."""
        return {segment.name: self._part(segment, size, response) for segment in self._segments}

    def _part(self, segment: Segment, size: int | None, response: InferenceResponse | None) -> str:
        if segment.header is not None:
            return self._named.get(segment.name, NONE)
        return size_class(size) if segment.by == "size" else predicted(response)


class Segments:
    """What calls are divided by now. Lives on the event loop's thread."""

    def __init__(self) -> None:
        self.asked: tuple[Segment, ...] = ()
        self.changed: list[Callable[[], None]] = []
        """Called when something else is asked for."""
        self._headers: dict[bytes, list[str]] = {}

    def ask(self, segments: Iterable[Segment]) -> None:
        """Divide calls by these from now on."""
        asked = tuple(segments)
        if asked == self.asked:
            return
        self.asked, self._headers = asked, {}
        for segment in asked:
            if segment.header is not None:
                self._headers.setdefault(segment.header.lower().encode(), []).append(segment.name)
        for tell in self.changed:
            tell()

    def divide(self, headers: Headers) -> Division | None:
        """How a call with these headers (names in small letters) is divided; None: not at all."""
        if not self.asked:
            return None
        named: dict[str, str] = {}
        for header, value in headers:
            for name in self._headers.get(header, ()):
                named.setdefault(name, clean(value.decode("utf-8", "replace")))
        return Division(self.asked, named)


def clean(text: str) -> str:
    """A part's name as it may be shown: printable, without space around it, not too long."""
    shown = "".join(letter for letter in text[: 4 * LONGEST] if letter.isprintable())
    return shown.strip()[:LONGEST].strip() or NONE


def size_class(size: int | None) -> str:
    """Powers of ten."""
    if size is None:
        return NONE
    return SIZES[min(max(len(str(size)) - 1, 0), len(SIZES) - 1)]


def predicted(response: InferenceResponse | None) -> str:
    """The class that was predicted for the first item: the likeliest label; the kinds of entity that were
    found (``LOC+PER``, or none); of tensors, the first value of the first output if it is a whole number or
    a text, else the place of the largest score in its first row (``class 3``)."""
    if response is None:
        return NONE
    if response.answers is not None:
        return _of_answer(response.answers[0]) if response.answers else NONE
    return _of_tensor(next(iter(response.tensors.values()))) if response.tensors else NONE


def _of_answer(answer: tuple[object, ...]) -> str:
    if not answer:
        return NONE
    if isinstance(answer[0], Entity):
        return clean("+".join(sorted({part.label for part in answer if isinstance(part, Entity)})))
    return clean(str(getattr(answer[0], "label", NONE)))


def _of_tensor(data: Array) -> str:
    if not data.size:
        return NONE
    if data.dtype.kind in "OSU":
        first = data.reshape(-1)[0]
        return clean(first.decode("utf-8", "replace") if isinstance(first, bytes) else str(first))
    if data.dtype.kind in "iub":
        return clean(str(data.reshape(-1)[0]))
    if data.ndim == 2 and 2 <= data.shape[1] <= CLASSES:
        return f"class {int(data[0].argmax())}"
    return NONE
