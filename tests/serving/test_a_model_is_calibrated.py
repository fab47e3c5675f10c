"""Calibration: what is measured and chosen, what is remembered, and what the operator's word is worth."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from modelserve._kit.machine import cpu_model, usable_cores
from modelserve.batching.cost import CostModel
from modelserve.batching.plans import Crew, Plan
from modelserve.batching.sharing import TOGETHER
from modelserve.domain.inference import Tensors
from modelserve.errors import ModelFailed
from modelserve.runtimes.base import Model
from modelserve.serving import calibrating, loading
from modelserve.serving.calibrating import Burst, calibrate, needs_calibration, run_burst
from modelserve.serving.calibrations import Calibrations, Circumstances
from modelserve.serving.logs import EventLog
from modelserve.serving.served import Loaded
from modelserve.serving.settling import settled, usual
from modelserve.settings import ServerSettings

CORES = usable_cores()
SLOW, SWIFT = CostModel(fixed=0.01), CostModel(fixed=0.0005)
Settings = Callable[..., ServerSettings]


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EventLog]:
    with (tmp_path / "events").open("wb") as file:
        yield EventLog(file.fileno())


@pytest.fixture
def told(onnx_models: dict[str, Path], tmp_path: Path) -> Settings:
    """Settings of a server for the model that takes its time."""

    def make(**changes: Any) -> ServerSettings:
        settings = {"service": "m", "revision": "m-1", "package": onnx_models["slow"]}
        return ServerSettings.model_validate(settings | {"machine_cache": tmp_path / "found"} | changes)

    return make


class Machine:
    """A machine on which a crew has the rate that is written here, whatever the model."""

    def __init__(self, gain: float = 1.0, share: float = 1.0, batching: float = 1.0) -> None:
        self.gain, self.share, self.batching = gain, share, batching
        self.asked: list[tuple[Crew, int]] = []

    def __call__(self, model: Model, crew: Crew, batch: Tensors, runs: int) -> Burst:
        size = len(batch["x"])
        self.asked.append((crew, size))
        rate = 100 * (self.gain if crew.cores > 1 else 1) * (self.batching if size > 1 else 1)
        return Burst(runs * size / rate, self.share)


def load(settings: ServerSettings) -> Loaded:
    """The model as it is after its warm-up, which found that requests may share its runs."""
    return replace(loading.load(settings), sharing=TOGETHER)


several = pytest.mark.skipif(CORES < 2, reason="one core: there is nothing to divide; crews stay untested")


@several
def test_more_cores_for_each_run_where_that_is_clearly_faster(told: Settings, log: EventLog) -> None:
    loaded = load(told())
    found = calibrate(loaded, told(), SLOW, log, Machine(gain=1.5))
    assert found.plan is not None
    assert (found.plan.crew.cores, found.model is loaded.model) == (2, False)
    with pytest.raises(ModelFailed, match="closed"):
        loaded.model.predict({})
    found.model.close()


@several
def test_one_core_for_each_run_where_more_are_hardly_faster(told: Settings, log: EventLog) -> None:
    loaded = load(told())
    found = calibrate(loaded, told(), SLOW, log, Machine(gain=1.08))
    assert found.plan == Plan(Crew(CORES), 1)
    assert found.model is loaded.model


def test_the_smallest_batch_that_is_as_good_as_any(told: Settings, log: EventLog) -> None:
    machine = Machine(batching=1.2)
    found = calibrate(load(told()), told(), SLOW, log, machine)
    assert found.plan is not None
    assert found.plan.max_batch == 2
    assert {size for _, size in machine.asked} >= {1, 2, 4}


def test_a_busy_machine_tells_nothing(told: Settings, log: EventLog, tmp_path: Path) -> None:
    loaded = load(told())
    assert calibrate(loaded, told(), SLOW, log, Machine(gain=2, share=0.5)) is loaded
    (event,) = (json.loads(line) for line in (tmp_path / "events").read_text().splitlines())
    assert event["event"] == "calibration_disturbed"


def test_a_model_that_fails_over_it_is_run_as_usual(told: Settings, log: EventLog, tmp_path: Path) -> None:
    def fail(*_: Any) -> Burst:
        raise ModelFailed("no memory")

    loaded = load(told())
    found = calibrate(loaded, told(), SLOW, log, fail)
    assert (found.plan, found.model) == (None, loaded.model)
    assert "calibration_failed" in (tmp_path / "events").read_text()


def test_only_what_was_left_open_and_can_matter_is_measured(told: Settings) -> None:
    loaded = load(told())
    assert needs_calibration(loaded, told(), SLOW)
    assert needs_calibration(loaded, told(threads=2), SLOW), "the batch is open"
    assert not needs_calibration(loaded, told(threads=2, max_batch=4), SLOW)
    assert not needs_calibration(loaded, told(calibration=0), SLOW)
    assert not needs_calibration(loaded, told(), SWIFT), "as fast with any setting"
    assert not needs_calibration(loaded, told(), CostModel(fixed=1.0)), "there is no time for it"
    assert not needs_calibration(loaded, told(), CostModel()), "the warm-up failed"
    assert not needs_calibration(replace(loaded, plan=Plan(Crew(1), 1)), told(), SLOW), "it is known"
    assert not needs_calibration(replace(loaded, tuning=None), told(), SLOW), "the engine can't be told"


@pytest.mark.parametrize(("given", "asked"), [({"threads": 2}, Crew(2)), ({"cores_per_run": 1}, Crew(CORES))])
def test_a_crew_that_was_given_is_obeyed(
    told: Settings, log: EventLog, given: dict[str, int], asked: Crew
) -> None:
    machine = Machine(gain=5)
    found = calibrate(load(told(**given)), told(**given), SLOW, log, machine)
    assert found.plan is not None
    assert {crew for crew, _ in machine.asked} | {found.plan.crew} == {asked}


def test_a_batch_that_was_given_is_obeyed(told: Settings, log: EventLog) -> None:
    machine = Machine(batching=3)
    found = calibrate(load(told(max_batch=1)), told(max_batch=1), SLOW, log, machine)
    assert found.plan is not None
    assert found.plan.max_batch == 1
    assert {size for _, size in machine.asked} <= {1}


def test_a_large_package_is_not_loaded_twice(told: Settings, log: EventLog, monkeypatch: Any) -> None:
    monkeypatch.setattr(calibrating, "LARGEST", 1)
    machine = Machine(gain=5)
    calibrate(load(told()), told(), SLOW, log, machine)
    assert {crew for crew, _ in machine.asked} == {Crew(CORES)}


def test_a_burst_runs_the_model_by_all_workers(told: Settings) -> None:
    loaded: Loaded = load(told())
    burst = run_burst(loaded.model, Crew(2), calibrating.an_item(loaded), 4)
    assert burst.seconds > 0
    assert 0 < burst.share < 1.5


def test_what_was_found_is_loaded_the_next_time(told: Settings) -> None:
    first = load(told())
    assert first.plan is None
    assert first.tuning is not None
    plan = Plan(Crew(1, 2), 4)
    assert Calibrations(told().calibrations).keep(first.tuning.circumstances, plan)
    assert load(told()).plan == plan
    assert load(told(max_batch=8)).plan is None, "found for another question"
    assert load(told(machine_cache=None)).plan is None


@pytest.fixture
def circumstances() -> Circumstances:
    return Circumstances("d" * 64, "onnxruntime 1", cpu_model(), CORES, 0, 0, None)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"workers": 1}', b"\xff", None])
def test_a_broken_finding_is_none(
    circumstances: Circumstances, tmp_path: Path, content: bytes | None
) -> None:
    findings = Calibrations(tmp_path)
    findings.keep(circumstances, Plan(Crew(1, 2), 4))
    (file,) = tmp_path.glob("*.json")
    file.write_bytes(
        content if content is not None else file.read_bytes().replace(b'"cores":2', b'"cores":0')
    )
    assert findings.find(circumstances) is None


def test_a_finding_of_another_machine_or_engine_is_none(circumstances: Circumstances, tmp_path: Path) -> None:
    findings = Calibrations(tmp_path)
    findings.keep(circumstances, Plan(Crew(1, 2), 4))
    assert findings.find(circumstances) == Plan(Crew(1, 2), 4)
    for other in ({"processor": "Z80"}, {"cores": 64}, {"engine": "onnxruntime 2"}, {"digest": "e" * 64}):
        assert findings.find(replace(circumstances, **other)) is None  # type: ignore[arg-type]


def test_a_folder_that_cant_be_written_remembers_nothing(
    circumstances: Circumstances, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    findings = Calibrations(tmp_path / "file")
    assert not findings.keep(circumstances, Plan(Crew(1), 1))
    assert findings.find(circumstances) is None


def test_settings_are_as_usual_where_nothing_is_told(told: Settings) -> None:
    assert usual(told()) == Plan(Crew(CORES), 8)
    assert usual(told(threads=3, cores_per_run=2, max_batch=5)) == Plan(Crew(3, 2), 5)
    done = settled(told(), Plan(Crew(1, 2), 4))
    assert (done.worker_threads, done.cores_per_run, done.batch_size) == (1, 2, 4)


def test_an_accelerator_gets_few_workers_and_large_batches(told: Settings) -> None:
    model = load(told()).model
    model.accelerated = True  # type: ignore[attr-defined]
    assert usual(told(), model) == Plan(Crew(2), 32)
    assert usual(told(threads=1, max_batch=4), model) == Plan(Crew(1), 4)


def test_a_server_tells_how_it_runs_its_model(start: Any, onnx_models: dict[str, Path]) -> None:
    server = start(onnx_models["double"], threads=3, max_batch=5)
    url = server.ready()
    assert httpx.get(f"{url}/v2/models/m").json()["parameters"] == {
        "workers": 3, "cores_per_run": 1, "max_batch": 5, "batching": "rows",
    }  # fmt: skip


def test_a_server_measures_and_still_answers(start: Any, told: Settings, tmp_path: Path) -> None:
    server = start(told().package, calibration=0.3, machine_cache=str(tmp_path / "found"))
    url = server.ready()
    body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]}
    answer = httpx.post(f"{url}/v2/models/m/infer", json=body, timeout=30).json()
    assert answer["outputs"][0]["data"] == [2, 4]
