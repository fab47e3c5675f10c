"""Wrong answers are found by labels: every one came in time and with status 200."""

from __future__ import annotations

import base64
import csv
import json
import re
import shlex
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import yaml

ROOT = Path(__file__).parents[2]
MODELS = ROOT / "models"
PAGE = (ROOT / "docs/how-to/labels.md").read_text()
ROLLOUT = {
    "shadow": None,
    "canary": {"steps": ["50%", "100%"], "minStep": "1s"},
    "judge": {"guardrails": [{"metric": "accuracy", "maxDecrease": "5%", "required": True}]},
}


def entities(answer: httpx.Response) -> list[dict[str, Any]]:
    found = answer.json()
    return [{key: each[key] for key in ("label", "start", "end")} for each in found["entities"]]


def rolled_back_by_labels(platform: Any, rollout: dict[str, Any], phase: str) -> tuple[Any, Counter[str]]:
    """The end of the worse version, whose every answer is labelled from ``phase`` on; and how often what was
    answered: labels by their states, ``labels`` in all, ``wrong`` answers to clients."""
    texts = [json.loads(line)["text"] for line in (MODELS / "bert-ner-2/reference.jsonl").open()]
    platform.apply("ner", MODELS / "bert-ner-2", rollout=rollout)
    platform.wait_for_phase("ner", "stable")
    door = httpx.Client(base_url=platform.door, timeout=30)
    truth = {text: entities(door.post("/predict/ner", json={"text": text})) for text in texts}
    platform.apply("ner", MODELS / "bert-ner-3-worse", rollout=rollout)
    platform.wait_for_phase("ner", phase)
    seen: Counter[str] = Counter()

    def feedback() -> Any:
        """Half a second of requests, each labelled at once: before its prediction is in the records."""
        labels = []
        for text in texts[:40]:
            answer = door.post("/predict/ner", json={"text": text})
            assert answer.status_code == 200
            seen["wrong"] += entities(answer) != truth[text]
            told = {"request_id": answer.headers["x-request-id"], "service": "ner"}
            labels.append(told | {"label": truth[text]})
        states = door.post("/api/v1/labels", json=labels).json()
        seen.update({state: states[state] for state in ("accepted", "unknown", "ambiguous")})
        seen["labels"] += len(labels)
        found = platform.rollout("ner")
        return found if found["phase"] == "rolled back" else None

    return platform.wait_for("the rollback", feedback, timeout=100), seen


def test_and_the_candidate_that_gave_them_goes(platform: Any) -> None:
    ended, seen = rolled_back_by_labels(platform, ROLLOUT, "canary")
    assert seen["accepted"] + seen["unknown"] == seen["labels"], seen
    assert "accuracy" in ended["reason"]
    status = platform.cli("labels", "status", "ner")
    accuracy = {r["revision"]: r["value"] for r in status["revisions"] if r["metric"] == "accuracy"}
    assert accuracy["ner-00001"] == 1.0
    assert accuracy["ner-00002"] < 0.9
    assert status["missed"] == 0


def test_in_the_shadow_before_a_client_sees_one(platform: Any) -> None:
    """The answers may differ as they like: labels say which of the two was right."""
    shadow = {"share": "100%", "minPairs": 1_000_000, "maxDisagreement": "100%"}
    ended, seen = rolled_back_by_labels(platform, {**ROLLOUT, "shadow": shadow}, "shadow")
    assert (seen["wrong"], seen["ambiguous"]) == (0, 0)
    assert ended["reason"].startswith("accuracy of shadow pairs")
    assert "against 100 % on stable" in ended["reason"]
    assert ended["step"] == -1
    assert {row["revision"] for row in platform.cli("labels", "status", "ner")["revisions"]} == {"ner-00001"}


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.S)


def test_as_the_page_says(platform: Any, tmp_path: Path) -> None:
    spec = yaml.safe_load(blocks("yaml")[0])["spec"]
    platform.apply("digits", MODELS / "resnet-digits-2", rollout=spec["rollout"])
    platform.wait_for_phase("digits", "stable")
    id = _ask(platform, tmp_path)
    platform.wait_for("the prediction", lambda: platform.cli("labels", "status", "digits")["predictions"])
    ways = [block for block in blocks("bash") if "api/v1/labels" in block]
    told = _run(ways[0], platform, id).json()
    assert [item["state"] for item in told["items"]] == ["accepted"]
    file = tmp_path / "labels.csv"
    file.write_text(blocks("csv")[0].replace("ID", id))
    with file.open() as lines:
        assert next(csv.DictReader(lines))["label"] == "7"
    assert platform.cli("labels", "import", str(file))["duplicate"] == 1
    file.write_text(file.read_text().replace(",7", ",8") + "nobody,digits,3\n")
    done = platform.start_cli("labels", "import", str(file), "--json")
    summary = json.loads(done.communicate(timeout=90)[0])
    assert done.returncode == 7
    assert [(told["line"], told["state"]) for told in summary["refused"]] == [
        (2, "contradicting"),
        (3, "unknown"),
    ]


def _ask(platform: Any, folder: Path) -> str:
    """A picture of a digit, as the page asks with curl; its request's id."""
    row = json.loads((MODELS / "resnet-digits-2/reference.jsonl").open().readline())
    picture = base64.b64decode(row["image"])
    files = {"image": ("digit.png", picture, "image/png")}
    answer = httpx.post(f"{platform.door}/predict/digits", files=files)
    assert answer.status_code == 200, answer.text
    return answer.headers["x-request-id"]


def _run(block: str, platform: Any, id: str) -> httpx.Response:
    """What a call of curl on the page sends."""
    words = shlex.split(block.replace("ID", id))
    url = next(word for word in words if word.startswith("http")).replace(
        "http://127.0.0.1:8080", platform.door
    )
    header = words[words.index("-H") + 1].partition(": ")
    return httpx.post(url, content=words[words.index("-d") + 1], headers={header[0]: header[2]})
