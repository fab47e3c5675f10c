import json
from pathlib import Path

import jsonschema_rs
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from modelserve.domain.guardrails import Metric
from modelserve.domain.models import Task
from modelserve.domain.services import OnDeadline, OnDisagreement
from modelserve.errors import InvalidSpec
from modelserve.manifest import dump, parse, schema, to_document

PERCENTS = st.integers(1, 99_999).map(lambda n: f"{n / 1000:.3f}%")


def durations(low: int, high: int) -> st.SearchStrategy[str]:
    return st.builds(
        lambda n, unit: f"{n}{unit}", st.integers(low, high), st.sampled_from(["ms", "s", "m"])
    ) | st.integers(low * 1000, high * 1000).map(lambda n: f"{n / 1000:.3f}s")


def some(**fields: st.SearchStrategy) -> st.SearchStrategy[dict]:
    """Any of these fields, or none."""
    return st.fixed_dictionaries({}, optional=fields)


@st.composite
def guardrails(draw: st.DrawFn) -> list[dict]:
    metrics = draw(st.lists(st.sampled_from(list(Metric)), min_size=1, unique=True))
    found = []
    for metric in metrics:
        guardrail: dict = {"metric": metric.value}
        guardrail["maxDecrease" if metric.of_labels else "maxIncrease"] = draw(PERCENTS)
        if metric is Metric.ERROR_RATE and draw(st.booleans()):
            guardrail["maxRatio"] = draw(st.floats(1, 100))
        if metric is Metric.RECALL:
            guardrail["label"] = draw(st.sampled_from(["PER", "7"]))
        if metric is Metric.CUSTOM:
            guardrail |= {"name": "clicks", "kind": "rate", "source": draw(SOURCES)}
        found.append(guardrail)
    return found


SOURCES = st.sampled_from(
    [
        {"promql": "sum(seen)", "bad": "sum(left)"},
        {"http": "http://metrics/{revision}", "total": "seen.total"},
        {"python": "shop.metrics:clicks"},
    ]
)


STEPS = st.lists(st.integers(1, 9_999), unique=True, max_size=19).map(
    lambda steps: [f"{step / 100}%" for step in sorted(steps)] + ["100%"]
)
VALIDATOR = jsonschema_rs.validator_for(schema())
NAMES = st.from_regex(r"[a-z]([a-z0-9-]{0,46}[a-z0-9])?", fullmatch=True)
SIZES = st.integers(1, 64).map("{}Mi".format) | st.integers(1024, 99_999).map("{}Ki".format)
DELAYS = st.sampled_from(["0s", "4ms", "0.5s"])
DOCUMENTS = st.fixed_dictionaries(
    {
        "metadata": st.fixed_dictionaries({"name": NAMES}),
        "spec": st.fixed_dictionaries(
            {
                "model": st.fixed_dictionaries(
                    {"uri": st.text(st.characters(codec="utf-8"), min_size=1, max_size=40)},
                    optional={"task": st.sampled_from([task.value for task in Task]) | st.none()},
                )
            },
            optional={
                "server": some(
                    batching=some(maxSize=st.integers(1, 1024), maxDelay=DELAYS),
                    queue=some(maxWaiting=st.integers(1, 100_000), timeout=durations(1, 10)),
                    threads=st.integers(1, 256) | st.none(),
                    cache=st.none() | some(ttl=durations(1, 10_000), maxBytes=SIZES),
                    featureCache=st.none() | some(maxBytes=SIZES),
                ),
                "scaling": some(min=st.integers(1, 64)),
                "rollout": some(
                    shadow=st.none()
                    | some(
                        share=PERCENTS,
                        minPairs=st.integers(1, 1_000_000),
                        maxDisagreement=PERCENTS,
                        onDisagreement=st.sampled_from([choice.value for choice in OnDisagreement]),
                    ),
                    canary=some(steps=STEPS, minStep=durations(0, 10_000)),
                    judge=some(
                        guardrails=guardrails(),
                        deadline=durations(1, 10_000),
                        onDeadline=st.sampled_from([choice.value for choice in OnDeadline]),
                    ),
                    loadingTimeout=durations(1, 1000),
                    probation=durations(0, 10_000),
                ),
            },
        ),
    }
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(DOCUMENTS, st.booleans())
def test_any_spec_that_is_written_and_read_is_the_same(document, defaults):
    service = parse(json.dumps(document), "any.json")

    assert parse(dump(service, defaults=defaults), "any.yaml") == service


@pytest.mark.parametrize("uri", ["\x85", "a\u2028b", "a\u2029", "a\nb", "\ufeffa", "a: b #c", " a ", "\t"])
def test_a_text_is_written_as_it_is_whatever_breaks_lines(uri):
    service = parse(json.dumps({"metadata": {"name": "a"}, "spec": {"model": {"uri": uri}}}), "any.json")
    assert parse(dump(service), "any.yaml").spec.model.uri == service.spec.model.uri == uri


def test_the_short_document_holds_what_differs_from_the_defaults():
    text = "metadata: {name: ner}\nspec: {model: {uri: ./ner}, rollout: {shadow: null, probation: 30m}}"

    assert to_document(parse(text, "ner.yaml")) == {
        "apiVersion": "modelserve.ai/v1alpha1",
        "kind": "ModelService",
        "metadata": {"name": "ner"},
        "spec": {"model": {"uri": "./ner"}, "rollout": {"shadow": None}},
    }


def test_the_long_document_shows_every_field():
    text = "metadata: {name: ner}\nspec: {model: {uri: ./ner}}"

    document = to_document(parse(text, "ner.yaml"), defaults=True)

    assert yaml.safe_dump(document["spec"]["rollout"]["canary"], sort_keys=False) == (
        "steps: null\nminStep: 30s\nbake:\n  holdback: 10%\n  time: 10m\n"
    )
    assert list(document["spec"]) == ["model", "server", "scaling", "rollout"]


def test_the_published_schema_is_current():
    published = Path(__file__).parents[2] / "docs/reference/modelservice.schema.json"

    assert json.loads(published.read_text()) == schema(), "write schema() to docs/reference again"


def test_every_field_of_the_schema_is_described():
    sections = [schema(), *schema()["$defs"].values()]

    undescribed = [
        name
        for section in sections
        for name, field in section.get("properties", {}).items()
        if not field.get("description")
    ]
    assert undescribed == []


@settings(max_examples=30, deadline=None)
@given(DOCUMENTS)
def test_what_is_accepted_fits_the_schema(document):
    service = parse(json.dumps(document), "any.json")

    VALIDATOR.validate(document)
    VALIDATOR.validate(to_document(service, defaults=True))


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"model": {}},
        {"model": {"uri": ""}},
        {"model": {"uri": "x"}, "scaling": {"min": "1"}},
        {"model": {"uri": "x"}, "server": {"queue": {"timeout": 10}}},
        {"model": {"uri": "x"}, "server": {"queue": {"max_waiting": 10}}},
        {"model": {"uri": "x"}, "rollout": {"canary": {"steps": ["5"]}}},
    ],
)
def test_what_the_schema_refuses_is_refused(spec):
    document = {"metadata": {"name": "ner"}, "spec": spec}

    assert not VALIDATOR.is_valid(document)
    with pytest.raises(InvalidSpec):
        parse(json.dumps(document), "any.json")
