"""Runtime: a model of another server that speaks the Open Inference Protocol v2 over HTTP."""

from modelserve.runtimes.external.describing import check, describe
from modelserve.runtimes.external.model import ExternalRuntime

__all__ = ["ExternalRuntime", "check", "describe"]
