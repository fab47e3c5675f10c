"""``python -m modelserve.control``: one controller process, as ``modelserve up`` starts it.

The first line on stdout tells the starter how it went, as JSON: ``{"ready": true}`` or ``{"error": "..."}``.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys

from modelserve._kit.quiet import silence
from modelserve.control.local import serve
from modelserve.control.repeating import Repeating
from modelserve.errors import ModelServeError
from modelserve.settings import PlatformSettings

FAILED = 1


def main() -> int:
    """Settings come as JSON on stdin."""
    silence()
    _log()
    settings = PlatformSettings.model_validate_json(sys.stdin.buffer.read())
    try:
        asyncio.run(_run(settings))
    except ModelServeError as error:
        _report({"error": error.message})
        return FAILED
    return 0


def _log() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(Repeating())
    form = "%(asctime)s %(levelname)s %(name)s: %(message)s"
    logging.basicConfig(level=logging.INFO, format=form, handlers=[handler])
    logging.getLogger("httpx").setLevel(logging.WARNING)


async def _run(settings: PlatformSettings) -> None:
    ready = asyncio.Event()
    report = asyncio.create_task(_report_ready(ready))
    try:
        await serve(settings, ready)
    finally:
        report.cancel()


async def _report_ready(ready: asyncio.Event) -> None:
    await ready.wait()
    _report({"ready": True})


def _report(line: dict[str, object]) -> None:
    try:
        print(json.dumps(line), flush=True)
    except OSError:
        logging.getLogger("modelserve.control").debug("the starter has gone")
