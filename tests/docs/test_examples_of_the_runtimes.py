"""What docs/how-to/runtimes shows is what happens."""

import importlib.util
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from modelserve.manifest import parse_all
from modelserve.packages.declaration import read_declaration

PAGES = Path(__file__).parents[2] / "docs" / "how-to"


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", (PAGES / page).read_text(), re.DOTALL)


@pytest.fixture
def server(tmp_path):
    """``server(package, **settings)``: the URL of a model server that is ready."""
    started = []

    def start(package, **settings):
        announce = tmp_path / "announce.json"
        told = {
            "revision": f"{settings['service']}-00001",
            "package": str(package),
            "announce": str(announce),
        }
        path = tmp_path / "settings.json"
        path.write_text(json.dumps(told | settings))
        command = [sys.executable, "-m", "modelserve.serving", "--settings", str(path)]
        started.append(subprocess.Popen(command, stderr=subprocess.PIPE))
        until = time.monotonic() + 60
        while time.monotonic() < until:
            if announce.exists():
                url = f"http://127.0.0.1:{json.loads(announce.read_text())['port']}"
                if httpx.get(f"{url}/v2/health/ready").status_code == 200:
                    return url
            assert started[-1].poll() is None, started[-1].stderr.read().decode()
            time.sleep(0.05)
        pytest.fail("the server did not become ready")

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_the_weather_package_answers_as_shown(tmp_path, server):
    folder = tmp_path / "weather"
    folder.mkdir()
    (folder / "model.py").write_text(blocks("runtimes/python.md", "python")[0])
    (folder / "modelserve.yaml").write_text(blocks("runtimes/python.md", "yaml")[0])
    url = server(folder, service="weather", allow_code=True)
    request, answer = blocks("runtimes/python.md", "json")
    route, body = request.split("\n", 1)
    told = httpx.post(url + route.removeprefix("POST "), json=json.loads(body))
    assert told.json() == json.loads(answer)


def test_the_tale_comes_piece_by_piece(tmp_path, server):
    folder = tmp_path / "tale"
    folder.mkdir()
    (folder / "model.py").write_text(blocks("streaming.md", "python")[0])
    (folder / "modelserve.yaml").write_text(blocks("streaming.md", "yaml")[0])
    url = server(folder, service="tale", allow_code=True)
    route, body = blocks("streaming.md", "json")[0].split("\n", 1)
    told = httpx.post(url + route.removeprefix("POST "), json=json.loads(body))
    assert told.text == blocks("streaming.md", "text")[0]
    whole = httpx.post(f"{url}/v2/models/tale/generate", json=json.loads(body))
    assert whole.json()["word"] == "Once upon a"


def test_a_model_of_another_server_answers_behind_the_platform(tmp_path, server, platform):
    folder = tmp_path / "weather"
    folder.mkdir()
    (folder / "model.py").write_text(blocks("runtimes/python.md", "python")[0])
    (folder / "modelserve.yaml").write_text(blocks("runtimes/python.md", "yaml")[0])
    url = server(folder, service="weather", allow_code=True)
    spec = blocks("runtimes/external.md", "yaml")[0].replace("http://127.0.0.1:8000", url)
    platform.cli("apply", "-f", "-", given=spec)
    platform.wait_for_phase("feel", "stable")
    request, answer = blocks("runtimes/python.md", "json")
    body = json.loads(request.split("\n", 1)[1])
    told = httpx.post(f"{platform.door}/v2/models/feel/infer", json=body)
    assert told.json()["outputs"] == json.loads(answer)["outputs"]
    refused = platform.cli("apply", "-f", "-", given=spec.replace("127.0.0.1", "10.0.0.1"), code=1)
    assert "MODELSERVE_ALLOW_EXTERNAL=10.0.0.1" in json.dumps(refused)


def test_the_spec_with_isolation_is_a_good_one():
    (service,) = parse_all(blocks("runtimes/python.md", "yaml")[1], "weather.yaml")
    assert service.spec.server.isolation.max_memory == 2 * 1024**3


EXAMPLES = {
    "onnx": ("runtimes/onnx.md", 0),
    "sklearn": ("runtimes/sklearn.md", 0),
    "xgboost": ("runtimes/xgboost-lightgbm.md", 0),
    "lightgbm": ("runtimes/xgboost-lightgbm.md", 1),
    "mlflow": ("runtimes/mlflow.md", 0),
}
if importlib.util.find_spec("torch"):  # `make test-torch` sees to it
    EXAMPLES |= {"torch": ("runtimes/torch.md", 0)}


def resembles(told, shown):
    """Equal but for small differences between numbers, and for what is told beyond what is shown."""
    if isinstance(shown, dict):
        return all(key in told and resembles(told[key], value) for key, value in shown.items())
    if isinstance(shown, list):
        return len(told) == len(shown) and all(map(resembles, told, shown))
    return told == pytest.approx(shown, abs=0.01) if isinstance(shown, float) else told == shown


def ask(url, request):
    route, body = request.split("\n", 1)
    return httpx.post(url + route.removeprefix("POST "), json=json.loads(body)).json()


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_model_is_trained_and_served_as_shown(name, tmp_path, server):
    page, index = EXAMPLES[name]
    program = blocks(page, "python")[index]
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True, timeout=100)
    request, answer = blocks(page, "json")[2 * index : 2 * index + 2]
    service = json.loads(answer)["model_name"]
    told = ask(server(tmp_path / "model", service=service), request)
    assert resembles(told, json.loads(answer)), told


def test_the_bundled_entity_model_answers_as_shown(server, models):
    request, answer = blocks("runtimes/hugging-face.md", "json")
    told = ask(server(models / "bert-ner-1", service="bert-ner"), request)
    assert resembles(told, json.loads(answer)), told


def test_the_declarations_for_scikit_learn_and_torch_are_good_ones(tmp_path):
    for page in ("runtimes/sklearn.md", "runtimes/torch.md"):
        (tmp_path / "modelserve.yaml").write_text(blocks(page, "yaml")[0])
        assert read_declaration(tmp_path).signature.inputs
