"""Unpacking an archive from a stranger.

Only plain files and folders come out, under names that stay inside, and no more bytes or files than allowed:
counted while they are written, whatever the archive says of itself.
"""

from __future__ import annotations

import gzip
import io
import lzma
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from modelserve.sources.base import Refused
from modelserve.sources.names import safe_name

ENDINGS = (".tar.gz", ".tgz", ".tar", ".zip")
BLOCK = 256 * 1024
MAX_HEADER = 64 * 1024 * 1024
"""Bytes that a reader may ask for at once: the list of files of any honest archive is smaller."""

_DAMAGED = (
    tarfile.TarError,
    zipfile.BadZipFile,
    EOFError,
    gzip.BadGzipFile,
    zlib.error,
    lzma.LZMAError,
    NotImplementedError,
    RecursionError,
    UnicodeDecodeError,
    ValueError,
)

Member = tuple[str, IO[bytes]]


def unpack(archive: Path, name: str, folder: Path, *, limit: int, most: int) -> Path:
    """Unpack into ``folder``, which must not be there; returns the package inside, past a lone top folder.

    ``name`` tells the kind by its ending; ``limit``: bytes in all; ``most``: entries. Raises Refused, or
    OSError of this disk.
    """
    folder.mkdir(parents=True)
    try:
        if name.lower().endswith(".zip"):
            _write(_zip_members(archive, most), folder, limit)
        else:
            _write(_tar_members(_plain_tar(archive, name, limit), most), folder, limit)
    except _DAMAGED as error:
        raise Refused(f"the archive is damaged ({error})") from error
    except (FileExistsError, IsADirectoryError, NotADirectoryError) as error:
        raise Refused("the archive holds two entries of one name") from error
    return _top(folder)


def _write(members: Iterator[Member], folder: Path, limit: int) -> None:
    left = limit
    for name, content in members:
        target = folder / safe_name(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:
            while block := _block(content):
                left -= len(block)
                if left < 0:
                    raise Refused(f"the archive holds more than {limit} bytes, the limit")
                file.write(block)


def _block(content: IO[bytes]) -> bytes:
    """The next piece. bzip2 tells damage as an OSError, which has no number as those of the disk have."""
    try:
        return content.read(BLOCK)
    except OSError as error:
        if error.errno is not None:
            raise
        raise Refused(f"the archive is damaged ({error})") from error


def _plain_tar(archive: Path, name: str, limit: int) -> Path:
    """The tar without its compression, in a file, so that a header is read as carefully as content."""
    if name.lower().endswith(".tar"):
        return archive
    plain = archive.with_name("archive.tar")
    left = limit + MAX_HEADER  # headers and padding come on top of the content
    with gzip.open(archive) as packed, plain.open("wb") as file:
        while block := packed.read(BLOCK):
            left -= len(block)
            if left < 0:
                raise Refused(f"the archive holds more than {limit} bytes, the limit")
            file.write(block)
    return plain


def _tar_members(plain: Path, most: int) -> Iterator[Member]:
    with _Careful(plain) as file, tarfile.open(fileobj=file, mode="r:") as tar:
        for count, member in enumerate(tar):
            _check_count(count, most)
            if member.isdir():
                continue
            if not member.isreg() or member.issparse():
                raise Refused(f"the archive holds {member.name[:80]!r}, which is no plain file or folder")
            content = tar.extractfile(member)
            assert content is not None  # noqa: S101 - a plain file has content
            yield member.name.removeprefix("./"), content


def _zip_members(archive: Path, most: int) -> Iterator[Member]:
    with _Careful(archive) as file, zipfile.ZipFile(file) as packed:
        for count, member in enumerate(packed.infolist()):
            _check_count(count, most)
            if member.is_dir():
                continue
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG) or member.flag_bits & 1:
                raise Refused(
                    f"the archive holds {member.filename[:80]!r}, which is a link, a device or encrypted"
                )
            with packed.open(member) as content:
                yield member.filename, content


def _check_count(count: int, most: int) -> None:
    if count >= most:
        raise Refused(f"the archive has more than {most} entries, the limit")


class _Careful(io.FileIO):
    """A file that hands out no giant piece: a reader asks for as much as a stranger's header says."""

    def read(self, size: int | None = -1, /) -> bytes:
        left = os.fstat(self.fileno()).st_size - self.tell()
        wanted = left if size is None or size < 0 else min(size, left)
        if wanted > MAX_HEADER:
            raise Refused(f"the archive has a header of {wanted} bytes; at most {MAX_HEADER} are read")
        return super().read(wanted) or b""


def _top(folder: Path) -> Path:
    """The folder that holds the package: archives often wrap it in one of its name."""
    entries = list(folder.iterdir())
    if not entries:
        raise Refused("the archive is empty")
    return entries[0] if len(entries) == 1 and entries[0].is_dir() else folder
