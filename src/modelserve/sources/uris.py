"""The text of a ``model.uri``: which place, what there, and what its content must hash to.

A URI is kept in the records and shown to whoever asks, so one that holds a secret is refused, in words that
don't repeat it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from modelserve.errors import InvalidSpec

MODELS = (".onnx", ".pt2", ".pt", ".ts", ".torchscript", ".skops", ".ubj")
"""Endings of a file that is a model by itself."""
SINGLE = (*MODELS, ".tar.gz", ".tgz", ".tar", ".zip")
"""Endings of a URI that names one file."""
_SECRET = re.compile(r"(^|[-_.])(token|key|secret|password|passwd|signature|sig|credential|auth)s?$", re.I)
_SHA256 = re.compile(r"sha256=([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class ModelUri:
    """One URI, taken apart; its parts hold no secret."""

    text: str
    """As it was written."""
    scheme: str
    """``https``, ``s3`` and so on; empty: a path."""
    host: str = ""
    """Host, bucket or organisation, with the port if there is one."""
    path: str = ""
    """As written for https, decoded for the others; without the leading slash."""
    query: str = ""
    sha256: str | None = None
    """What the file that the URI names must hash to."""

    @property
    def shown(self) -> str:
        """For messages and logs."""
        return self.text[:200]

    @property
    def address(self) -> str:
        """The URL to ask, without the fragment."""
        return self.text.partition("#")[0]

    @property
    def single(self) -> str | None:
        """Name of the file, if the URI names one."""
        name = unquote(self.path).rpartition("/")[2]
        return name if name.lower().endswith(SINGLE) else None


def parse_uri(text: str, where: str = "spec.model.uri") -> ModelUri:
    """Take a URI apart; a text without ``scheme:`` is a path, in which '#', '?' and '%' are plain letters.

    ``where`` names the field in messages. Raises InvalidSpec.
    """
    if text.startswith("models:"):
        return ModelUri(text, "models", path=text.removeprefix("models:").lstrip("/"))
    if "://" not in text:
        return ModelUri(text, "", path=text)
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError as error:
        raise InvalidSpec(f"{where}: got {_redacted(text)!r}: {error}") from None
    _check_secrets(parts, text, where)
    scheme = parts.scheme.lower()
    path = parts.path if scheme in ("https", "http", "file") else unquote(parts.path)
    pin = _pin(parts.fragment, text, where)
    return ModelUri(text, scheme, parts.netloc, path.removeprefix("/"), parts.query, pin)


def _check_secrets(parts: SplitResult, text: str, where: str) -> None:
    names = [name for name, _ in parse_qsl(parts.query, keep_blank_values=True)]
    secret = next((name for name in names if _SECRET.search(name)), None)
    if "@" in parts.netloc and parts.scheme != "hf":
        secret = "a user or password"  # noqa: S105 - what was found, not a secret
    if secret:
        raise InvalidSpec(
            f"{where}: got {_redacted(text)!r}: it holds {secret}, and a spec is shown to everybody: leave "
            "it out, and give the controller its own access (AWS_* variables, HF_TOKEN)"
        )


def _redacted(text: str) -> str:
    """Scheme and host alone."""
    scheme, _, rest = text.partition("://")
    host = re.split(r"[/?#]", rest, maxsplit=1)[0].rpartition("@")[2]
    return f"{scheme[:20]}://{host[:100]}/..."


def _pin(fragment: str, text: str, where: str) -> str | None:
    if not fragment:
        return None
    if found := _SHA256.fullmatch(fragment):
        return found[1]
    raise InvalidSpec(
        f"{where}: got {_redacted(text)!r}: after '#' may stand sha256= and 64 hexadecimal digits, "
        "nothing else"
    )
