"""PyTorch's archives, read without PyTorch: what they are, what they take and give, and nothing that runs.

``torch.export.load`` trusts its file: it unpickles sample inputs, evaluates the sizes of tensors as Python,
executes guards, takes operators from anywhere below ``torch`` and loads compiled libraries. So a program is
vetted here against what an export of tensors needs, and a clean copy of it is what PyTorch gets to see: no
pickles, no guards, no notes. What the guards say is read as data (see ``torch_guards``).

``torch.jit.load`` reads TorchScript with an interpreter of its own, which knows no Python; what it could do
to the machine is read and write files, and a program that calls these two operators is refused.
"""

from __future__ import annotations

import json
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any, BinaryIO

from modelserve._kit.torch_programs import Program, UnfitArchive, plain, values

MAX_PROGRAM = 256 * 1024 * 1024
"""Bytes of a program's text, at most; weights are not counted."""


class Kind(Enum):
    TORCHSCRIPT = "TorchScript"
    PROGRAM = "exported program"


def kind_of(path: Path) -> Kind:
    """What the archive is, once it was read to its end. Raises UnfitArchive."""
    with _open(path) as archive:
        names = _names(archive)
        if any(name.startswith("models/") for name in names):
            return Kind.PROGRAM
        if "constants.pkl" in names and any(name.startswith("code/") for name in names):
            _check_script(archive, names)
            return Kind.TORCHSCRIPT
        if "data.pkl" in names:
            raise UnfitArchive(
                "is a checkpoint (torch.save), which holds weights and no program, in a pickle; save the "
                "program with torch.export.save() or torch.jit.save()"
            )
    raise UnfitArchive("is a zip file, but neither TorchScript nor an exported program")


def read_program(path: Path) -> Program:
    """What the program takes and gives. Raises UnfitArchive for what :func:`clean_copy` would refuse."""
    with _open(path) as archive:
        return _vetted(archive, _names(archive))[1]


def operators_in(path: Path) -> frozenset[str]:
    """The names of the operators that TorchScript or an exported program calls, without what they belong to
    (``linear_dynamic``), and perhaps of other things; none where it can't be read. Raises OSError."""
    try:
        with zipfile.ZipFile(path) as archive:
            return frozenset(name.decode() for name in _called(archive))
    except (*_DAMAGES, UnfitArchive):
        return frozenset()


def _called(archive: zipfile.ZipFile) -> Iterator[bytes]:
    """One text after the other: all of them may be more than the memory."""
    for entry in archive.infolist():
        if _CALLING.fullmatch(entry.filename.partition("/")[2]):
            yield from _CALLED.findall(_read(archive, entry))


def clean_copy(path: Path, copy: BinaryIO) -> Program:
    """Write the program with its weights, and nothing else, into ``copy``: what it takes and gives, and under
    which conditions, which are not in the copy. Raises UnfitArchive."""
    with _open(path) as archive, zipfile.ZipFile(copy, "w", zipfile.ZIP_STORED) as clean:
        names = _names(archive)
        document, program, kept = _vetted(archive, names)
        clean.writestr(f"model/{_MODEL}", json.dumps(document))
        clean.writestr("model/data/sample_inputs/model.pt", b"")
        clean.writestr("model/.data/serialization_id", "0" * 40)
        for name in kept:
            with (
                archive.open(names[name]) as source,
                clean.open(f"model/{name}", "w", force_zip64=True) as to,
            ):
                while piece := source.read(1 << 20):
                    to.write(piece)
        return program


# What a file may hold.

_MODEL = "models/model.json"
_PAYLOADS = ("data/weights/model_weights_config.json", "data/constants/model_constants_config.json")
_PLAIN = re.compile(r"data/weights/weight_\d+|data/constants/tensor_\d+")
_SMALL = frozenset({"archive_format", "archive_version", "byteorder", ".data/version", "version"})
_DROPPED = re.compile(r"data/sample_inputs/model\.pt|\.data/.*|extra/.*|\.format_version|\.storage_alignment")
_CALLING = re.compile(r"code/.*\.py|models/.*\.json")
_CALLED = re.compile(rb"\b(?:(?:torch\.)?ops\.\w+|torch|aten)\.([A-Za-z_]\w*)", re.ASCII)
"""In the text of either, such as ``torch.ops.aten.add.Tensor`` and ``ops.quantized.linear(``."""
_DAMAGES = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)
_TOUCHES_FILES = re.compile(r"\b(?:torch|aten)\s*\.\s*(from_file|save)\b")


def _open(path: Path) -> zipfile.ZipFile:
    try:
        archive = zipfile.ZipFile(path)
        damaged = archive.testzip()
    except _DAMAGES as error:
        raise UnfitArchive(
            f"is not an archive of PyTorch, or is truncated ({error}); save it again"
        ) from error
    if damaged is not None:
        raise UnfitArchive(f"is damaged at {damaged}; save it again")
    return archive


def _names(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The entries without the folder that all lie in. Raises UnfitArchive for two of one name or folder."""
    found: dict[str, zipfile.ZipInfo] = {}
    for entry in archive.infolist():
        name = entry.filename.partition("/")[2]
        if name in found or not name:
            raise UnfitArchive(f"holds {entry.filename!r} where it should not; save it again")
        found[name] = entry
    if len({entry.filename.partition("/")[0] for entry in found.values()}) != 1:
        raise UnfitArchive("holds more than one folder; save one model")
    if len({name.lower() for name in found}) != len(found):
        raise UnfitArchive("holds two entries whose names differ in case alone; save it again")
    return found


def _check_script(archive: zipfile.ZipFile, names: Mapping[str, zipfile.ZipInfo]) -> None:
    for name, entry in names.items():
        if name.startswith("code/") and name.endswith(".py"):
            called = _TOUCHES_FILES.search(_read(archive, entry).decode("utf-8", "replace"))
            if called is not None:
                raise UnfitArchive(f"calls torch.{called[1]}, which touches files; a model works on tensors")


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    if entry.file_size > MAX_PROGRAM:
        raise UnfitArchive(f"has {entry.file_size} bytes of {entry.filename}; at most {MAX_PROGRAM} are read")
    return archive.read(entry)


def _vetted(
    archive: zipfile.ZipFile, names: Mapping[str, zipfile.ZipInfo]
) -> tuple[dict[str, Any], Program, list[str]]:
    """The program without guards and notes, what it takes and gives, and the names of what it needs beside
    it."""
    kept = []
    for name in names:
        if name in _SMALL or name in _PAYLOADS or _PLAIN.fullmatch(name):
            kept.append(name)
        elif name != _MODEL and not _DROPPED.fullmatch(name):
            raise UnfitArchive(
                f"holds {name}, which is no tensor: compiled code, pickled objects and several programs are "
                f"not loaded; export one program of tensors with torch.export.save()"
            )
    for name in _PAYLOADS:
        _check_payload(name, _json(archive, names, name))
    document = _json(archive, names, _MODEL)
    guards = document.get("guards_code")
    return plain(document), values(document, guards), kept


def _json(archive: zipfile.ZipFile, names: Mapping[str, zipfile.ZipInfo], name: str) -> dict[str, Any]:
    if name not in names:
        raise UnfitArchive(f"lacks {name}; export it with this generation of PyTorch (2.9 or newer)")
    try:
        value = json.loads(_read(archive, names[name]))
    except (ValueError, RecursionError) as error:
        raise UnfitArchive(f"has a {name} that is not JSON ({error}); export it again") from error
    if not isinstance(value, dict):
        raise UnfitArchive(f"has a {name} that is no object; export it again")
    return value


def _check_payload(name: str, config: Mapping[str, Any]) -> None:
    for key, entry in _entries(config.get("config")):
        if entry.get("use_pickle") is not False:
            raise UnfitArchive(f"keeps {key} of {name} in a pickle; export plain tensors")
        if not re.fullmatch(r"(weight|tensor)_\d+", str(entry.get("path_name"))):
            raise UnfitArchive(f"keeps {key} of {name} in {entry.get('path_name')!r}; export plain tensors")


def _entries(config: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if not isinstance(config, dict) or not all(isinstance(entry, dict) for entry in config.values()):
        raise UnfitArchive("has a list of weights that can't be read; export it again")
    yield from config.items()
