"""``rollout watch`` tells the true end of a rollout, also where another one has begun since it looked."""

import json

import pytest
from typer.testing import CliRunner

from modelserve.cli import client, rollout
from modelserve.cli.main import app


def view(id, phase, done=False):
    told = {"id": id, "candidate": f"m-0000{id}", "phase": phase, "done": done, "weight": 1.0}
    return told | {"verdict": None, "reason": phase, "totals": {}}


@pytest.fixture
def watch(monkeypatch):
    """Watch the first rollout of a service; another one has begun when it is looked at again."""

    def run(*options, ended):
        latest = iter([view(1, "probation"), view(2, "loading")])

        def control(_method, path):
            if path.endswith("/rollouts"):
                return [one | {"transitions": []} for one in (*ended, view(2, "loading"))]
            return {"rollout": next(latest)}

        monkeypatch.setattr(rollout, "POLL", 0.0)
        monkeypatch.setattr(client, "control", control)
        return CliRunner().invoke(app, ["rollout", "watch", "m", *options])

    return run


@pytest.mark.parametrize(("phase", "code"), [("stable", 0), ("rolled back", 5), ("superseded", 5)])
def test_one_that_another_has_followed(watch, phase, code):
    done = watch("--json", ended=[view(1, phase, done=True)])
    told = [json.loads(each) for each in done.stdout.splitlines()]
    assert told == [view(1, "probation"), view(1, phase, done=True)]
    assert done.exit_code == code


def test_one_that_is_gone_with_its_service(watch):
    done = watch(ended=[])
    assert done.exit_code != 0
    assert "m was deleted meanwhile" in str(done.exception)
