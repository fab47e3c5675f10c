import pytest
from pydantic import ValidationError

from modelserve.domain.guardrails import Guardrail, Segment
from modelserve.domain.services import Canary, Judge, ModelService, Queue


def test_a_uri_alone_is_a_complete_spec():
    service = ModelService.model_validate({"metadata": {"name": "ner"}, "spec": {"model": {"uri": "./ner"}}})

    assert service.name == "ner"
    assert service.spec.rollout.canary.ladder == (0.01, 0.05, 0.1, 0.2, 0.5, 0.9, 1.0)
    assert {guardrail.metric for guardrail in service.spec.rollout.judge.guardrails} == {
        "error_rate",
        "latency_p50",
        "latency_p99",
    }


@pytest.mark.parametrize("name", ["a", "a1", "bert-ner", "a" * 48])
def test_a_name_can_be_a_host_name(name):
    spec = {"model": {"uri": "x"}}

    assert ModelService.model_validate({"metadata": {"name": name}, "spec": spec}).name == name


@pytest.mark.parametrize("name", ["", "1a", "A", "a-", "-a", "a_b", "a.b", "a" * 49, "a\n", "../x"])
def test_another_name_is_refused(name):
    with pytest.raises(ValidationError):
        ModelService.model_validate({"metadata": {"name": name}, "spec": {"model": {"uri": "x"}}})


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        (["50%", "5%", "100%"], "must climb"),
        (["5%", "5%", "100%"], "must climb"),
        (["0%", "100%"], "must climb"),
        (["5%", "50%"], 'the last step must be "100%"'),
        (["50%", "101%"], 'the last step must be "100%"'),
        ([], "at least 1 item"),
    ],
)
def test_canary_steps_climb_to_everything(steps, says):
    with pytest.raises(ValidationError, match=says):
        Canary(steps=steps)


def test_a_single_step_to_everything_is_allowed():
    assert Canary(steps=["100%"]).steps == (1.0,)


def test_a_ratio_is_for_error_rates_alone():
    assert Guardrail(metric="error_rate", max_increase="1%", max_ratio=2).max_ratio == 2

    with pytest.raises(ValidationError, match="maxRatio belongs to error_rate alone"):
        Guardrail(metric="latency_p99", max_increase="1%", max_ratio=2)


def test_each_metric_is_guarded_once():
    guardrail = Guardrail(metric="latency_p99", max_increase="1%")

    with pytest.raises(ValidationError, match="each metric may be guarded once"):
        Judge(guardrails=(guardrail, guardrail))


@pytest.mark.parametrize("timeout", ["0s", "601s", "11m"])
def test_a_timeout_is_more_than_nothing_and_at_most_ten_minutes(timeout):
    with pytest.raises(ValidationError):
        Queue(timeout=timeout)


@pytest.mark.parametrize("header", ["Authorization", "cookie", "x-api-key"])
def test_no_segment_shows_a_secret(header):
    with pytest.raises(ValidationError, match="choose another header"):
        Segment(name="who", header=header)


def test_errors_are_not_divided_by_an_answer_that_a_failure_lacks():
    rail = Guardrail(metric="error_rate", max_increase="1%", segment="class")
    with pytest.raises(ValidationError, match="what failed has none"):
        Judge(guardrails=(rail,), segments=(Segment(name="class", by="answer"),))


def test_steps_of_ones_own_have_no_bake_unless_it_is_asked_for():
    assert Canary(steps=["50%", "100%"]).ladder == (0.5, 1.0)
    assert Canary.model_validate({"steps": ["50%", "100%"], "bake": {}}).ladder == (0.5, 0.9, 1.0)
    assert Canary(bake=None).ladder[-2:] == (0.5, 1.0)


def test_a_bake_comes_after_the_steps_and_takes_its_own_time():
    canary = Canary.model_validate({"steps": ["50%", "90%", "100%"], "bake": {"time": "5m"}})
    assert canary.ladder == (0.5, 0.9, 1.0)
    assert [canary.least_time(weight) for weight in canary.ladder] == [30, 300, 30]
    with pytest.raises(ValidationError, match="more than the last step before 100% leaves to stable"):
        Canary.model_validate({"steps": ["95%", "100%"], "bake": {}})
