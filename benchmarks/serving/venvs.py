"""Virtual environments of the peers, made once from pinned requirements."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

from benchmarks.serving.models import CACHE

REQUIREMENTS = Path(__file__).parent / "requirements"


def python(name: str) -> str:
    """The interpreter of the environment ``name``; made first if it is missing or pinned otherwise."""
    folder, pinned = CACHE / "venvs" / name, REQUIREMENTS / f"{name}.txt"
    interpreter, stamp = folder / "bin" / "python", folder / "pinned"
    wanted = hashlib.sha256(pinned.read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"setting up {name} from {pinned.name} ...", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        pip = [str(interpreter), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
        subprocess.run([*pip, "-r", str(pinned)], check=True)
        stamp.write_text(wanted)
    return str(interpreter)
