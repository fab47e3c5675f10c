"""``python -m examples.up``: start the platform, serve the two example services, and say how to call them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PATIENCE = 60.0


def main() -> int:
    about = _modelserve("up", "--json")
    for file in ("ner.yaml", "digits.yaml"):
        _modelserve("apply", "-f", str(HERE / file), "--json")
    if not _all_ready():
        sys.stderr.write("the services are not ready; see: .venv/bin/modelserve status\n")
        return 1
    print(f"""ModelServe is up with two services. Try:

  curl {about["door"]}/predict/bert-ner -H 'content-type: application/json' \\
       -d '{{"text": "Ada Lovelace met Charles Babbage in London"}}'

  .venv/bin/modelserve status
  make down""")
    return 0


def _all_ready() -> bool:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        status = _modelserve("status", "--json")
        if status["in_force"] and all(service["stable"] for service in status["services"]):
            return True
        time.sleep(0.5)
    return False


def _modelserve(*arguments: str) -> Any:
    command = [sys.executable, "-m", "modelserve", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own program
    if done.returncode != 0:
        sys.exit(done.stderr.strip())
    return json.loads(done.stdout)


if __name__ == "__main__":
    sys.exit(main())
