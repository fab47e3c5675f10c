import pytest

BAD = """\
apiVersion: modelserve.ai/v1alpha1
kind: ModelService
metadata: {name: NER, labels: {}}
spec:
  model: {}
  server:
    batching: {maxSize: "8", max_delay: 1s, maxDelay: 20s}
    queue: {timeout: 0s}
    threads: yes
  scaling:
  rollout:
    shadow: 3
    canary: {steps: ["50%", "5%"]}
    judge:
      onDeadline: rollback
      falseRollback: 60%
      guardrails:
        - {metric: latency_p50, maxIncrease: 5%, maxRatio: 2}
        - 4
        - {metric: latency_p95, maxIncrease: 5}
"""

TOLD = """\
3: metadata.name: got "NER": must be lower-case letters, digits and dashes; starts with a letter; at most 48
3: metadata.labels: unknown field; known here: name
5: spec.model.uri: required, but left out (Where the package lies: a path (relative to the spec file), \
or a file, s3, https, hf or models URI)
7: spec.server.batching.maxSize: got "8": must be a whole number
7: spec.server.batching.maxDelay: got "20s": must be at most 10s
7: spec.server.batching.max_delay: unknown field; did you mean maxDelay? known here: mode, maxSize, maxDelay
8: spec.server.queue.timeout: got "0s": must be more than 0s
9: spec.server.threads: got true: must be a whole number
10: spec.scaling: got null: must be a mapping (known here: min); leave the field out for the defaults
12: spec.rollout.shadow: got 3: must be a mapping (known here: share, minPairs, maxDisagreement, \
onDisagreement, compare, noiseFloor, keepInputs)
13: spec.rollout.canary.steps: got ["50%", "5%"]: steps must climb, such as ["5%", "25%", "50%", "100%"]
15: spec.rollout.judge.onDeadline: got "rollback": must be hold, promote or rollBack; did you mean rollBack?
16: spec.rollout.judge.falseRollback: got "60%": must be less than 50%
18: spec.rollout.judge.guardrails[0]: got {"metric": "latency_p50", "maxIncrease": "5%", "maxRatio": 2}: \
maxRatio belongs to error_rate alone; a latency has maxIncrease
19: spec.rollout.judge.guardrails[1]: got 4: must be a mapping (known here: metric, maxIncrease, \
maxDecrease, maxRatio, minIncrease, label, segment, name, kind, source, limit, low, high, required)
20: spec.rollout.judge.guardrails[2].metric: got "latency_p95": must be error_rate, latency_p50, \
latency_p99, accuracy, recall, score or custom; did you mean latency_p99?
20: spec.rollout.judge.guardrails[2].maxIncrease: got 5: write a share in percent, such as "0.5%" or "20%"
"""


def test_all_mistakes_of_a_file_are_told_at_once(complaints):
    assert complaints(BAD) == [f"ner.yaml:{line}" for line in TOLD.splitlines()]


ROOT = "must be a mapping (known here: apiVersion, kind, metadata, spec)"
KEYS = "keys must be short text; quote it if it is meant so"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("text", f'1: got "text": {ROOT}'),
        ("- 1", f"1: got [1]: {ROOT}"),
        ("kind: Deployment\nspec: {replicas: 1}", '1: kind: got "Deployment": must be ModelService'),
        ("\napiVersion: v2", '2: apiVersion: got "v2": must be modelserve.ai/v1alpha1'),
        ("a: 1\nb: 2\na: 3", "3: a: written twice; the first is on line 1"),
        ("1: a", f"1: got the key '1': {KEYS}"),
        ("[a]: b", f"1: got the key a list or mapping: {KEYS}"),
        ("<<: {a: 1}", f"1: got the key '<<': {KEYS}"),
        ("a: !!int 1", "1: tags such as tag:yaml.org,2002:int are not read here; write plain values"),
        ("a:\n  b: !os.system x", "2: tags such as !os.system are not read here; write plain values"),
        ("a: *b", "1: not valid YAML: found undefined alias 'b'"),
        ("a: 1\nb: \x00", "2: not valid YAML: a character that may not be there"),
        ("a:\n  " + "x" * 5000, "2: a: holds 5000 characters; at most 4096 are read"),
        ('a: "\\ud800"', "1: a: holds half of a character (a lone surrogate)"),
    ],
)
def test_a_document_that_is_none_is_one_sentence(complaints, text, told):
    assert complaints(text) == [f"ner.yaml:{told}"]


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ('model: {uri: ""}', '3: spec.model.uri: got "": must have at least 1 character'),
        ("model: {uri: 1}", "3: spec.model.uri: got 1: must be text; put it in quotes"),
        ("model: {uri: x, runtime: onxx}",
         '3: spec.model.runtime: got "onxx": must be onnx, python, external, torch, sklearn, xgboost or '
         "lightgbm; did you mean onnx?"),
        ('model: {uri: x}\n  "\\e[2J": 1', "4: spec.\\x1b[2J: unknown field; known here: "
         "model, server, scaling, rollout"),
        ("model: {uri: x}\n  rollout: {canary: {steps: []}}",
         "4: spec.rollout.canary.steps: got []: must have at least 1 item"),
        ("model: {uri: x}\n  rollout: {canary: {steps: 5%}}",
         '4: spec.rollout.canary.steps: got "5%": must be a list'),
        ("model: {uri: x}\n  rollout: {canary: 5%}",
         '4: spec.rollout.canary: got "5%": must be a mapping (known here: steps, minStep, bake)'),
        ("model: {uri: x}\n  scaling: {min: 1.5}", "4: spec.scaling.min: got 1.5: must be a whole number"),
        ("model: {uri: x}\n  scaling: {min: 0}", "4: spec.scaling.min: got 0: must be at least 1"),
        ("model: {uri: x}\n  scaling: {min: 99999999999999999999}",
         "4: spec.scaling.min: got 99999999999999999999: must be at most 64"),
        ("model: {uri: x}\n  rollout: {probation: 30}",
         '4: spec.rollout.probation: got 30: write a duration with its unit, such as "250ms", "30s", "5m" '
         'or "2h"'),
    ],
)  # fmt: skip
def test_a_mistake_in_the_spec_is_one_sentence(complaints, spec, told):
    text = f"metadata: {{name: a}}\nspec:\n  {spec}"

    assert complaints(text) == [f"ner.yaml:{told}"]


@pytest.mark.parametrize("text", ["", "# only a comment\n---\n"])
def test_a_file_without_a_document_is_told_so(complaints, text):
    assert complaints(text) == ["ner.yaml: holds no document"]


def test_broken_yaml_is_told_with_the_line_where_it_breaks(complaints):
    (told,) = complaints("a: [1\nb: 2")

    assert told.startswith("ner.yaml:2: not valid YAML: while parsing a flow sequence")


def test_two_services_of_one_name_are_told(complaints):
    one = "metadata:\n  name: a\nspec: {model: {uri: x}}\n"

    assert complaints(f"{one}---\n{one}") == [
        'ner.yaml:6: metadata.name: got "a": another document has this name'
    ]


def test_a_long_value_is_shown_in_part(complaints):
    (told,) = complaints(f"metadata: {{name: {'A' * 1000}}}\nspec: {{model: {{uri: x}}}}")

    assert len(told) < 250


def test_a_file_full_of_mistakes_is_told_in_part(complaints):
    fields = "".join(f"  field{number}: 1\n" for number in range(100))

    told = complaints(f"metadata: {{name: a}}\nspec:\n  model: {{uri: x}}\n{fields}")

    assert len(told) == 31
    assert told[-1] == "ner.yaml: and 70 problems more"
