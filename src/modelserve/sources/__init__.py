"""Where models come from: the places that a ``model.uri`` may name, and the way of their files to here."""

from modelserve.sources.fetching import Bounds, Fetched
from modelserve.sources.opening import Sources, open_sources
from modelserve.sources.uris import ModelUri, parse_uri

__all__ = ["Bounds", "Fetched", "ModelUri", "Sources", "open_sources", "parse_uri"]
