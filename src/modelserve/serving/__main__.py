"""``python -m modelserve.serving``."""

from __future__ import annotations

import sys

from modelserve.serving.environment import prepare

if __name__ == "__main__":
    prepare()
    from modelserve.serving.main import main

    sys.exit(main())
