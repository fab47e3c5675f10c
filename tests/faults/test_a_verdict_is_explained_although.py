"""A verdict is explained, to the last bit, although something went wrong meanwhile."""

import json
import os
import signal

import httpx
import pytest

NAME = "digits"
GO = {
    "canary": {"steps": ["20%", "50%", "100%"], "minStep": "2s"},
    "shadow": None,
    "judge": {"guardrails": [{"metric": "error_rate", "maxIncrease": "0.2%"}]},
    "probation": "1h",
}


def looks(platform) -> int:
    """How often the judge has looked at the rollout under way; asks the controller itself, which is quick."""
    control = json.loads((platform.home / "platform.json").read_text())["control"]
    answer = httpx.get(f"{control}/api/v1/services/{NAME}/rollouts/latest/looks", trust_env=False)
    return len(answer.text.splitlines())


@pytest.mark.timeout(300)
def test_the_controller_was_killed_again_and_again(platform, models):
    platform.apply(NAME, models / "resnet-digits-1", rollout=GO)
    platform.wait_for_ready(NAME, "digits-00001")
    with platform.load(NAME):
        platform.apply(NAME, models / "resnet-digits-2", rollout=GO)
        platform.wait_for_phase(NAME, "canary")
        for kills in range(1, 4):
            platform.wait_for("looks after the last kill", lambda kills=kills: looks(platform) >= 2 * kills)
            os.kill(platform.controller_pid(), signal.SIGKILL)
            platform.up()
        platform.wait_for_phase(NAME, "probation", timeout=90)
    found = platform.cli("rollout", "explain", NAME)
    assert found["same"] is True, "its exit code says so, too"
    assert found["looks"]["judged"] == found["looks"]["made"] >= 6
    assert found["chapters"][-1]["title"] == "the candidate answers everything (probation)"
