"""Port: model packages."""

from modelserve.packages.content import digest
from modelserve.packages.opening import is_package, open_package

__all__ = ["digest", "is_package", "open_package"]
