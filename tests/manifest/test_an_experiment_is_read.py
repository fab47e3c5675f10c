import json
from pathlib import Path

import pytest

from modelserve.domain.services import ModelService
from modelserve.errors import InvalidSpec
from modelserve.manifest import experiment_schema, parse_all, parse_any, parse_experiment

TEXT = """
apiVersion: modelserve.ai/v1alpha1
kind: Experiment
metadata: {name: tone}
spec:
  service: ner
  key: {header: x-user-id}
  arms:
    - {name: control, weight: 50%, revision: stable}
    - {name: challenger, weight: 50%, model: {uri: ./models/ner-2}}
  metrics:
    - {name: accepted, kind: rate}
"""


def refusal(text):
    with pytest.raises(InvalidSpec) as refused:
        parse_experiment(text, "tone.yaml")
    return refused.value.message


def test_with_defaults_for_what_is_left_out():
    spec = parse_experiment(TEXT, "tone.yaml").spec
    assert (spec.confidence, spec.max_duration, spec.bandit) == (0.95, 14 * 86400.0, None)
    assert spec.metrics[0].tolerance == 0.01


def test_beside_services_of_one_file():
    service = "apiVersion: modelserve.ai/v1alpha1\nkind: ModelService\nmetadata: {name: tone}\n"
    kinds = [type(spec) for spec in parse_any(f"{service}spec: {{model: {{uri: x}}}}\n---{TEXT}", "all.yaml")]
    assert kinds[0] is ModelService
    assert len(kinds) == 2


def test_but_not_where_a_service_is_asked_for():
    with pytest.raises(InvalidSpec, match='kind: got "Experiment": must be ModelService'):
        parse_all(TEXT, "tone.yaml")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("challenger, weight: 50%", "challenger, weight: 40%", "the weights must sum to 100%, not 90%"),
        ("name: challenger", "name: control", "each arm needs a name of its own"),
        (", revision: stable", "", "name exactly one of model and revision"),
        ("{header: x-user-id}", "{header: a, cookie: b}", "name exactly one of header and cookie"),
        ("header: x-user-id", "header: x-modelserve-arm", "can't be a key"),
        ("header: x-user-id", "header: X-User", "spec.key.header"),
        ("kind: rate", "kind: mean", "bounds: a mean needs them"),
        ("kind: rate", "bounds: [0, 1]", "bounds: a mean needs them, a rate has none"),
        ("kind: rate", "kind: mean, bounds: [1, 1]", "bounds must be [least, largest]"),
        ("kind: rate", "kind: mean, bounds: [0, 1e999]", "finite"),
        ("kind: rate", "kind: mean, bounds: [-1e308, 1e308]", "bounds must be [least, largest]"),
        ("kind: rate", "kind: mean, bounds: [0, 5], window: 1h", "window: only a rate has one"),
        ("kind: rate}", "kind: rate}\n  bandit: {minShare: 50%, every: 1s}", "must be at least 1m"),
        ("kind: rate}", "kind: rat}", "did you mean rate?"),
    ],
)
def test_every_mistake_is_told(old, new, said):
    assert said in refusal(TEXT.replace(old, new))


def test_the_published_schema_is_the_current_one():
    published = Path(__file__).parents[2] / "docs" / "reference" / "experiment.schema.json"
    assert published.read_text() == json.dumps(experiment_schema(), indent=2) + "\n"
