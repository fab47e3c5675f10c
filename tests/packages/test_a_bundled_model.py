"""A bundled model, from its folder to its answers ..."""

import base64
import json
import re
from pathlib import Path

import pytest

from modelserve.domain.models import Task
from modelserve.errors import ModelFailed
from modelserve.packages import open_package
from modelserve.runtimes import runtime_for
from modelserve.tasks import task_for

MODELS = Path(__file__).parents[2] / "models"
ALL = (
    "bert-ner-1",
    "bert-ner-2",
    "bert-ner-3-errors",
    "bert-ner-3-slow",
    "bert-ner-3-worse",
    "resnet-digits-1",
    "resnet-digits-2",
)


class Server:
    """A package in memory, asked one item at a time."""

    def __init__(self, name):
        self.package = open_package(MODELS / name)
        self.model, self.task = runtime_for("onnx").load(self.package), task_for(self.package)

    def answer(self, item):
        tensors, context = self.task.prepare(item)
        return self.task.finish(self.model.predict(tensors), context)

    @property
    def rows(self):
        return [json.loads(line) for line in self.package.reference.read_text("utf-8").splitlines()]

    @property
    def stated_score(self):
        """What the model card promises."""
        card = (self.package.path / "README.md").read_text("utf-8")
        return float(re.search(r"^ +value: ([0-9.]+)$", card, re.MULTILINE)[1])


@pytest.mark.parametrize("name", ALL)
def test_opens_and_loads(name):
    server = Server(name)
    assert server.package.layout == "huggingface"
    assert server.package.description
    text = server.package.task is Task.TOKEN_CLASSIFICATION
    assert text == name.startswith("bert-ner")
    assert server.answer("Ada" if text else base64.b64decode(server.rows[0]["image"])) is not None


@pytest.mark.parametrize("name", ["resnet-digits-1", "resnet-digits-2"])
def test_reads_digits_as_well_as_its_card_says(name):
    server = Server(name)
    rows = server.rows
    right = sum(server.answer(base64.b64decode(row["image"]))[0].label == row["label"] for row in rows)
    assert right / len(rows) == pytest.approx(server.stated_score, abs=0.01)


@pytest.mark.parametrize("name", ["bert-ner-1", "bert-ner-2"])
def test_finds_names_as_well_as_its_card_says(name):
    server = Server(name)
    found = told = wanted = 0
    for row in server.rows:
        expected = {(e["label"], e["start"], e["end"]) for e in row["entities"]}
        answered = {(e.label, e.start, e.end) for e in server.answer(row["text"])}
        found, told, wanted = found + len(expected & answered), told + len(answered), wanted + len(expected)
    assert 2 * found / (told + wanted) == pytest.approx(server.stated_score, abs=0.01)


def test_that_fails_on_purpose_fails_as_a_model():
    server = Server("bert-ner-3-errors")
    assert isinstance(server.answer("Ada Lovelace met Charles Babbage in London."), tuple)
    with pytest.raises(ModelFailed, match="indices element out of data bounds"):
        server.answer("Zoë met René in Łódź.")
