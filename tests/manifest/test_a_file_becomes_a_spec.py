import pytest

from modelserve.domain.guardrails import Metric
from modelserve.errors import InvalidSpec
from modelserve.manifest import parse, parse_all

WHOLE = """\
apiVersion: modelserve.ai/v1alpha1
kind: ModelService
metadata: {name: bert-ner}
spec:
  model:
    uri: ./bert-ner
    task: token-classification
  server:
    batching: {maxSize: 32, maxDelay: 4ms}
    queue: {maxWaiting: 100, timeout: 2s}
  rollout:
    shadow: null
    canary:
      steps: [5%, 100%]
    judge:
      guardrails:
        - {metric: error_rate, maxIncrease: 0.5%, maxRatio: 2}
"""

SMALL = "metadata: {name: NAME}\nspec: {model: {uri: ./model}}\n"


def test_texts_become_numbers_in_base_units():
    service = parse(WHOLE, "ner.yaml")

    assert service.name == "bert-ner"
    assert service.spec.server.batching.max_delay == 0.004
    assert service.spec.server.queue.timeout == 2.0
    assert service.spec.rollout.shadow is None
    assert service.spec.rollout.canary.steps == (0.05, 1.0)
    (guardrail,) = service.spec.rollout.judge.guardrails
    assert (guardrail.metric, guardrail.max_increase, guardrail.max_ratio) == (Metric.ERROR_RATE, 0.005, 2.0)


def test_json_is_read_too_even_indented_by_tabs():
    text = '{\n\t"metadata": {"name": "ner"},\n\t"spec": {"model": {"uri": "\\ud83d\\ude00\\t/x"}}\n}'

    assert parse(text, "ner.json").spec.model.uri == "😀\t/x"


def test_several_documents_are_read_and_empty_ones_passed_over():
    text = f"---\n{SMALL.replace('NAME', 'one')}---\n---\n{SMALL.replace('NAME', 'two')}...\n"

    assert [service.name for service in parse_all(text, "all.yaml")] == ["one", "two"]


def test_one_is_expected_where_one_is_asked_for():
    text = f"{SMALL.replace('NAME', 'one')}---\n{SMALL.replace('NAME', 'two')}"

    with pytest.raises(InvalidSpec, match=r"all\.yaml: holds 2 documents; exactly one"):
        parse(text, "all.yaml")


def test_anchors_may_be_used():
    text = "x: &x\nmetadata: {name: ner}\nspec:\n  model: {uri: &u ./m}\n"
    text = text.removeprefix("x: &x\n").replace("}\n", "}\n", 1)

    assert parse(text, "ner.yaml").spec.model.uri == "./m"


@pytest.mark.parametrize("uri", ["2024-01-01", "10:30", "1_000", "0x10", "0o17", "~x", "yesterday"])
def test_what_looks_like_a_date_or_an_odd_number_is_text(uri):
    text = SMALL.replace("NAME", "ner").replace("./model", uri)

    assert parse(text, "ner.yaml").spec.model.uri == uri
