"""The one door to matplotlib, which leaves nothing in the user's folders.

It keeps a list of the machine's fonts, and asks fontconfig for them, which has a cache of its own. Both go to
a folder that ends with the process, at the price of a third of a second. Whoever has set MPLCONFIGDIR has
said where the list may stay.

Raises ModuleNotFoundError where it is not installed.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile

from modelserve._kit.caches import caches_in

_FOLDER = tempfile.mkdtemp(prefix="modelserve-fonts-")
atexit.register(shutil.rmtree, _FOLDER, ignore_errors=True)

with caches_in(_FOLDER, "MPLCONFIGDIR", "XDG_CACHE_HOME"):
    from matplotlib import font_manager  # noqa: F401 - makes the list
    from matplotlib.figure import Figure

__all__ = ["Figure"]
