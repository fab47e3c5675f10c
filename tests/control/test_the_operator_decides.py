"""The operator decides what packages may do."""

import pytest

from modelserve.domain.models import Allowed
from modelserve.errors import InvalidSpec


@pytest.fixture
def package_with_code(tmp_path):
    folder = tmp_path / "ranker"
    folder.mkdir()
    (folder / "model.py").write_text("raise SystemExit('the controller must not run this')")
    tensor = "[{name: x, datatype: FP32, shape: [-1]}]"
    (folder / "modelserve.yaml").write_text(f"signature: {{inputs: {tensor}, outputs: {tensor}}}")
    return folder


async def test_code_of_a_package_is_not_run_unless_allowed(controller, package_with_code):
    with pytest.raises(
        InvalidSpec, match=r"ranker answers with code of its own .*: modelserve up --allow-code"
    ):
        await controller.apply(package_with_code)
    assert controller.platform.book.get("m") is None


async def test_a_model_server_is_told_what_is_allowed(controller, package_with_code):
    controller.platform.allowed = Allowed(code=True)
    await controller.apply(package_with_code)
    await controller.ticks(1)
    (workload,) = controller.platform.applied.values()
    assert workload.config["allow_code"] is True


@pytest.fixture
def package_with_a_pickle(tmp_path):
    folder = tmp_path / "ranker"
    folder.mkdir()
    (folder / "model.pkl").write_bytes(b"cbuiltins\nexit\n(tR.")
    tensor = "[{name: x, datatype: FP32, shape: [-1, 2]}]"
    (folder / "modelserve.yaml").write_text(f"signature: {{inputs: {tensor}, outputs: {tensor}}}")
    return folder


async def test_a_pickle_is_not_read_unless_allowed(controller, package_with_a_pickle):
    with pytest.raises(InvalidSpec, match=r"model\.pkl is a pickle, .* modelserve up --allow-pickle"):
        await controller.apply(package_with_a_pickle)
    controller.platform.allowed = Allowed(pickle=True)
    await controller.apply(package_with_a_pickle)
    await controller.ticks(1)
    (workload,) = controller.platform.applied.values()
    assert workload.config["allow_pickle"] is True


async def test_a_function_that_guards_a_rollout_is_not_run_unless_allowed(controller, packages):
    rail = {"metric": "custom", "name": "spend", "kind": "limit", "limit": 1, "source": {"python": "a.b:c"}}
    rules = {"judge": {"guardrails": [rail]}}
    with pytest.raises(InvalidSpec, match=r"guardrails\.0\.source\.python: got 'a\.b:c', .* --allow-code"):
        await controller.apply(packages[0], rules)
    controller.platform.allowed = Allowed(code=True)
    await controller.apply(packages[0], rules)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({"http": "http://10.1.2.3/x"}, r"source\.http: 10\.1\.2\.3:80 is not asked; .*=10\.1\.2\.3:80"),
        ({"promql": "up", "url": "https://prom.example"}, r"source\.url: prom\.example:443 is not asked"),
        ({"http": "http://ann:word@localhost/x"}, r"source\.http: leave the user out"),
        ({"http": "http://localhost:99999/x"}, r"source\.http: Port out of range"),
    ],
)
async def test_no_server_elsewhere_is_asked_unless_allowed(controller, packages, source, said):
    rail = {"metric": "custom", "name": "spend", "kind": "limit", "limit": 1, "source": source}
    with pytest.raises(InvalidSpec, match=said) as told:
        await controller.apply(packages[0], {"judge": {"guardrails": [rail]}})
    assert "word" not in told.value.message


async def test_a_server_that_the_operator_names_is_asked(controller, packages):
    controller.platform.allowed = Allowed(hosts=("*.example",))
    source = {"promql": "up", "url": "https://prom.example"}
    rail = {"metric": "custom", "name": "spend", "kind": "limit", "limit": 1, "source": source}
    await controller.apply(packages[0], {"judge": {"guardrails": [rail]}})
