"""Serve AI models and roll out new versions of them by evidence.

``Client`` and ``AsyncClient`` ask models; ``Judge`` says whether a candidate is worse than stable. They are
loaded when they are first used.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["AsyncClient", "Client", "Judge", "__version__"]

if TYPE_CHECKING:
    from modelserve.client import AsyncClient, Client
    from modelserve.judge.standing import Judge


def __getattr__(name: str) -> Any:
    """The client and the judge, and what they need, only for those who want them (PEP 562)."""
    if name in ("AsyncClient", "Client"):
        from modelserve import client

        return getattr(client, name)
    if name == "Judge":
        from modelserve.judge.standing import Judge

        return Judge
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), "AsyncClient", "Client", "Judge"]
