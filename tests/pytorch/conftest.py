"""Programs of PyTorch, written on the spot; what is here needs PyTorch, and fails without it."""

import json
import zipfile

import pytest
import torch

from modelserve.packages import open_package
from modelserve.runtimes import runtime_for


class Affine(torch.nn.Module):
    """y = 2 x + 1"""

    def forward(self, x):
        return x * 2 + 1


def export(module, example, path, axes=None, **options):
    """Write an exported program with a batch axis of any length on each input."""
    batch = torch.export.Dim("batch")
    shapes = axes or tuple({0: batch} for _ in example)
    torch.export.save(torch.export.export(module.eval(), example, dynamic_shapes=shapes, **options), path)
    return path


@pytest.fixture
def save_export(tmp_path):
    return lambda module, example, **options: export(module, example, tmp_path / "model.pt2", **options)


@pytest.fixture
def affine(tmp_path):
    """The path of the smallest program."""
    return export(Affine(), (torch.zeros(2, 3),), tmp_path / "model.pt2")


@pytest.fixture
def rewrite(affine):
    """Change entries of the smallest program: ``rewrite({name: bytes | function of a document})``."""

    def by(changes):
        with zipfile.ZipFile(affine) as archive:
            entries = {name: archive.read(name) for name in archive.namelist()}
        folder = next(iter(entries)).partition("/")[0]
        for name, change in changes.items():
            whole = f"{folder}/{name}"
            if callable(change):
                document = json.loads(entries[whole])
                change(document)
                entries[whole] = json.dumps(document).encode()
            else:
                entries[whole] = change
        with zipfile.ZipFile(affine, "w") as archive:
            for name, content in entries.items():
                archive.writestr(name, content)
        return affine

    return by


@pytest.fixture
def load():
    def of(path):
        package = open_package(path)
        return runtime_for(package.runtime).load(package)

    return of
