"""The artefact store."""

from modelserve.stores.blobs.opening import open_blobs

__all__ = ["open_blobs"]
