"""Packs rotate.py into rotate.zip beside it, the same bytes every time: ``python build.py``."""

import zipfile
from pathlib import Path

HERE = Path(__file__).parent


def pack(target: Path) -> None:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        entry = zipfile.ZipInfo("rotate.py", (1980, 1, 1, 0, 0, 0))
        entry.external_attr = 0o644 << 16
        archive.writestr(entry, (HERE / "rotate.py").read_bytes())


if __name__ == "__main__":
    pack(HERE / "rotate.zip")
