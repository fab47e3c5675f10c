"""What ``import modelserve`` brings along."""

from __future__ import annotations

import subprocess
import sys

import modelserve


def loaded(statement: str) -> set[str]:
    """Top-level packages in memory after a statement, in a fresh interpreter."""
    program = f"{statement}\nimport sys\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_package_alone_brings_nothing() -> None:
    assert loaded("import modelserve") - loaded("import typing") == {"modelserve"}


def test_the_client_brings_only_what_a_client_needs() -> None:
    heavy = {"fastapi", "pydantic", "sqlalchemy", "starlette", "uvicorn", "typer", "onnxruntime", "psutil"}
    assert loaded("from modelserve import Client, AsyncClient") & heavy == set()


def test_every_public_name_is_there() -> None:
    assert set(modelserve.__all__) <= set(dir(modelserve))
    for name in modelserve.__all__:
        assert getattr(modelserve, name) is not None
    for name in modelserve.client.__all__:
        assert getattr(modelserve.client, name) is not None
