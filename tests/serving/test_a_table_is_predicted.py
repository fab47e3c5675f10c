"""A table is predicted: columns by name, as data frames and their clients have them, some values missing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.http
import xgboost

from tests.serving.conftest import Process, Starter

NAMES = ["age", "income", "visits", "member"]
RNG = np.random.default_rng(11)
ROWS = np.column_stack(
    [RNG.normal(40, 9, 400), RNG.normal(9, 3, 400), RNG.integers(0, 9, (2, 400)).T]
).astype(np.float32)
ROWS[::4, 1] = ROWS[1::4, 2] = ROWS[2::4, 3] = np.nan
TARGET = np.where(np.isnan(ROWS[:, 2]), 50, ROWS[:, 0] + np.nan_to_num(ROWS[:, 1], nan=-30))
COLUMNS = [
    {"type": "double", "name": "age"},
    {"type": "double", "name": "income", "required": False},
    {"type": "long", "name": "visits", "required": False},
    {"type": "boolean", "name": "member", "optional": True},
]
NAN = float("nan")


@pytest.fixture(scope="module")
def booster() -> Any:
    data = xgboost.DMatrix(ROWS, TARGET, feature_names=NAMES)
    return xgboost.train({"nthread": 1, "max_depth": 4}, data, 20)


@pytest.fixture(scope="module")
def server(
    start_shared: Starter, tmp_path_factory: pytest.TempPathFactory, booster: Any
) -> Iterator[Process]:
    folder = tmp_path_factory.mktemp("model")
    booster.save_model(folder / "model.ubj")
    columns = json.dumps(COLUMNS[::-1])  # a column is known by its name
    (folder / "MLmodel").write_text(
        f"flavors:\n  xgboost: {{data: model.ubj}}\nsignature:\n  inputs: '{columns}'\n"
    )
    found = start_shared(folder, threads=2, grpc_port=0)
    found.ready()
    yield found
    assert [event["event"] for event in found.events() if event["level"] in ("warning", "error")] == []


@pytest.fixture(scope="module")
def known(booster: Any) -> Any:
    """What the library answers to rows."""
    return lambda *rows: pytest.approx(booster.inplace_predict(np.array(rows, np.float32)).tolist())


def column(name: str, kind: str, data: list[Any], shape: list[int] | None = None) -> dict[str, Any]:
    return {"name": name, "datatype": kind, "shape": shape or [len(data)], "data": data}


def infer(server: Process, *columns: dict[str, Any]) -> httpx.Response:
    return httpx.post(f"{server.url()}/v2/models/m/infer", json={"inputs": columns}, timeout=30)


def predict(server: Process, **body: Any) -> httpx.Response:
    return httpx.post(f"{server.url()}/v1/models/m:predict", json=body, timeout=30)


def answer(response: httpx.Response) -> Any:
    assert response.status_code == 200, response.text
    return response.json()["outputs"][0]["data"]


def test_its_metadata_tells_the_columns(server: Process) -> None:
    told = httpx.get(f"{server.url()}/v2/models/m").json()["inputs"]
    assert told == [{"name": name, "datatype": "FP64", "shape": [-1]} for name in NAMES]


def test_as_a_client_of_mlserver_sends_a_data_frame(server: Process, known: Any) -> None:
    """SeldonIO/MLServer#1625: columns of n values are [n, 1]; those without gaps keep their datatype."""
    response = infer(
        server,
        column("age", "FP64", [40, 50], [2, 1]),
        column("income", "FP64", [9.5, 7], [2, 1]),
        column("visits", "INT64", [3, 4], [2, 1]),
        column("member", "BOOL", [True, False], [2, 1]),
    )
    assert answer(response) == known([40, 9.5, 3, 1], [50, 7, 4, 0])
    assert response.json()["outputs"][0]["shape"] == [2]


def test_without_optional_columns(server: Process, known: Any) -> None:
    want = known([40, NAN, NAN, NAN], [50, NAN, NAN, NAN])
    assert answer(infer(server, column("age", "FP64", [40, 50]))) == want
    assert predict(server, instances=[{"age": 40}, {"age": 50}]).json() == {"predictions": want}
    assert predict(server, inputs={"age": [40, 50]}).json() == {"outputs": want}


def test_with_single_values_missing(server: Process, known: Any) -> None:
    want = known([NAN, 9.5, NAN, 1], [50, NAN, 4, NAN])
    by_name = {"age": [None, 50], "income": [9.5, None], "visits": [None, 4], "member": [True, None]}
    rows = [{name: values[row] for name, values in by_name.items()} for row in range(2)]
    assert predict(server, instances=rows).json() == {"predictions": want}
    assert predict(server, inputs=by_name).json() == {"outputs": want}
    kinds = {"age": "FP64", "income": "FP64", "visits": "INT64", "member": "BOOL"}
    assert answer(infer(server, *(column(name, kinds[name], by_name[name]) for name in NAMES))) == want


def test_with_single_values_missing_in_binary(server: Process, known: Any) -> None:
    rows = np.array([[40, NAN, 3, NAN], [50, 9, NAN, 0]])
    for library, address in (
        (tritonclient.http, server.url().removeprefix("http://")),
        (tritonclient.grpc, f"127.0.0.1:{server.told['grpc_port']}"),
    ):
        client = library.InferenceServerClient(address)
        tensors = [library.InferInput(name, [2, 1], "FP64") for name in NAMES]
        for place, tensor in enumerate(tensors):
            tensor.set_data_from_numpy(rows[:, place : place + 1].copy())
        found = client.infer("m", tensors).as_numpy("prediction")
        assert found.tolist() == known(*rows.tolist())
        client.close()


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"income": 1}, 'send an object with exactly "age", and perhaps "income", "visits", "member"'),
        ({"age": 1, "incme": 2}, 'got {"age":1,"incme":2}; send an object with exactly "age", and perhaps'),
        ({"age": "1"}, 'element 0: got "1"; FP64 takes numbers'),
        ({"age": [1, 2]}, 'got [1,2]; the model takes [-1] for "age"'),
        ({"age": 1, "income": [None, None]}, 'got [1,2]; the model takes [-1] for "income"'),
        ({"age": 1, "income": {}}, "element 0: got {}"),
    ],
    ids=str,
)
def test_what_is_no_row_of_it_is_refused(server: Process, row: dict[str, Any], told: str) -> None:
    response = predict(server, instances=[row])
    assert response.status_code == 400, response.text
    assert told in response.json()["error"]


def test_what_the_model_can_not_do_without_is_the_clients_fault(
    start: Starter, tmp_path: Path, known: Any
) -> None:
    """A linear model takes no NaN: the one call is refused, and those beside it are answered."""
    import skops.io
    from sklearn.linear_model import LinearRegression

    rows = np.nan_to_num(ROWS)
    model = LinearRegression().fit(rows, TARGET)
    model.feature_names_in_ = np.array(NAMES, object)
    skops.io.dump(model, tmp_path / "model.skops")
    (tmp_path / "MLmodel").write_text(
        "flavors:\n  sklearn: {pickled_model: model.skops, serialization_format: skops}\n"
        f"signature:\n  inputs: '{json.dumps(COLUMNS)}'\n"
    )
    server = start(tmp_path, threads=2)
    server.ready()
    whole = {"age": 40, "income": 9, "visits": 3, "member": True}
    for missing in ("income", "visits"):
        refused = predict(server, instances=[whole, whole | {missing: None}])
        assert refused.status_code == 400, refused.text
        assert f"input '{missing}': row 1 holds NaN; this model does not take it" in refused.json()["error"]
    said = predict(server, instances=[whole]).json()["predictions"][0]
    assert said == pytest.approx(model.predict([[40, 9, 3, 1]])[0])
    assert "feature names" not in server.log.read_text()
