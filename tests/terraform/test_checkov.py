"""checkov finds nothing, and each exception says why in its place."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess

import pytest

from tests.terraform.tools import TREE


def test_checkov_finds_nothing() -> None:
    checkov = os.environ.get("CHECKOV") or shutil.which("checkov")
    if not checkov:
        pytest.skip("NOT TESTED: no checkov here; `make test-terraform` sets it up")
    command = [
        checkov,
        "-d",
        str(TREE),
        "--framework",
        "terraform",
        "--skip-download",
        "--compact",
        "-o",
        "json",
    ]
    quiet = os.environ | {"CKV_SKIP_PACKAGE_UPDATE_CHECK": "true"}  # it would ask PyPI
    done = subprocess.run(command, capture_output=True, text=True, env=quiet)
    report = json.loads(done.stdout)
    summary = report["summary"]
    print(f"checkov {summary['checkov_version']}: {summary['passed']} passed, {summary['skipped']} excepted")
    failed = [f"{f['check_id']} {f['resource']}" for f in report["results"]["failed_checks"]]
    assert (failed, summary["parsing_errors"]) == ([], 0)
    assert summary["passed"] > 600


def test_each_exception_says_why() -> None:
    exceptions = [
        (path.name, *found)
        for path in TREE.rglob("*.tf")
        for found in re.findall(r"#checkov:skip=(\w+):?(.*)", path.read_text())
    ]
    assert len(exceptions) > 30
    assert [each for each in exceptions if len(each[2].split()) < 2] == []
