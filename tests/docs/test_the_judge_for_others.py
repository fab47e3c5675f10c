"""The page on the judge for others, and the manifests: asked as Flagger and Argo Rollouts would ask."""

import http.server
import json
import re
import shlex
import subprocess
import sys
import threading
from itertools import pairwise
from pathlib import Path
from urllib.parse import parse_qs

import httpx
import pytest
import yaml

from modelserve import Judge
from modelserve.judge.streams import Terms

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/how-to/judge-for-flagger-and-argo.md").read_text()
MANIFESTS = {
    f"{file.parent.name}/{file.name}": yaml.safe_load(file.read_text())
    for folder in ("judge", "flagger", "argo-rollouts")
    for file in sorted((ROOT / "examples" / folder).glob("*.yaml"))
}
SERVICE = "http://modelserve-judge.modelserve:8090"


@pytest.fixture
def prometheus():
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            (query,) = parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())["query"]
            body = json.dumps({"data": {"result": [{"value": [0, str(self.server.figure(query))]}]}})
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        server.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def judging(prometheus, tmp_path):
    """``modelserve judge serve``, as a process."""
    command = [sys.executable, "-m", "modelserve", "judge", "serve", "--port", "0", "--json"]
    process = subprocess.Popen(
        [*command, "--prometheus", prometheus.url, "--state", str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
    )
    with process, httpx.Client(base_url=json.loads(process.stdout.readline())["url"]) as client:
        yield client
        process.terminate()


class Shop:
    """Counters of a service, by the queries of a manifest."""

    def __init__(self, queries, prometheus):
        self.queries = {query: name for name, query in queries.items()}
        self.counters = dict.fromkeys(queries, 0)
        prometheus.figure = lambda query: self.counters[self.queries[query]]

    def serve(self, weight, bad=0):
        candidate = 20 * weight
        added = {"stableTotal": 2000 - candidate, "stableBad": 0}
        added |= {"candidateTotal": candidate, "candidateBad": bad}
        for name, count in added.items():
            self.counters[name] += count


def hooks():
    return {hook["type"]: hook for hook in MANIFESTS["flagger/canary.yaml"]["spec"]["analysis"]["webhooks"]}


@pytest.fixture
def flagger(judging, prometheus):
    """Calls a webhook of the canary as Flagger does; says whether Flagger goes on."""
    queries = {k: v for k, v in hooks()["rollout"]["metadata"].items() if k in QUERIES}
    shop = Shop(queries, prometheus)

    def call(kind, version="5f6d"):
        hook = hooks()[kind]
        payload = {"name": "shop", "namespace": "shop", "phase": "Progressing", "checksum": version}
        payload |= {"metadata": hook["metadata"]} if "metadata" in hook else {}
        answer = judging.post(hook["url"].removeprefix(SERVICE), json=payload)
        assert answer.status_code in (200, 404, 409), answer.text
        return answer.status_code == 200

    call.shop = shop
    return call


QUERIES = ("stableTotal", "stableBad", "candidateTotal", "candidateBad")


def test_flagger_climbs_as_the_judge_allows_and_promotes(flagger):
    canary = MANIFESTS["flagger/canary.yaml"]["spec"]["analysis"]
    weights, weight, looks = [0], 0, 0
    while not (weight == canary["stepWeights"][-1] and flagger("confirm-promotion")):
        if weight:
            flagger.shop.serve(weight)
            assert flagger("rollout")
            assert not flagger("rollback")
        if weight < canary["stepWeights"][-1] and flagger("confirm-traffic-increase"):
            weight = canary["stepWeights"][len(weights) - 1]
            weights.append(weight)
        looks += 1
        assert looks < 200
    assert weights == [0, *canary["stepWeights"]]
    assert looks > len(weights) + 2, "evidence was waited for"


def test_flagger_rolls_a_bad_canary_back_and_the_metric_says_so(flagger, judging):
    assert flagger("confirm-traffic-increase"), "the first weight"
    assert not flagger("confirm-traffic-increase"), "nothing was seen at it"
    flagger.shop.serve(5)
    assert flagger("rollout")
    assert go_on(judging) == 1
    flagger.shop.serve(5, bad=50)
    flagger("rollout")
    flagger.shop.serve(5, bad=50)
    assert not flagger("rollout")
    assert flagger("rollback")
    assert not flagger("confirm-promotion")
    assert go_on(judging) == 0
    assert not flagger("rollback", version="next"), "another version begins anew"


def go_on(judging):
    """As Flagger's Prometheus provider reads a metric template."""
    spec = MANIFESTS["flagger/metric-template.yaml"]["spec"]
    path = spec["provider"]["address"].removeprefix(SERVICE) + "/api/v1/query"
    query = spec["query"].replace("{{ namespace }}", "shop").replace("{{ target }}", "shop")
    for asked in ("vector(1)", query):
        (sample,) = judging.get(path, params={"query": asked}).json()["data"]["result"]
        value = float(sample["value"][1])
        assert asked == query or value == 1
    return value


def measure(judging, weight, version="1"):
    """One measurement of Argo Rollouts' web metric provider."""
    (metric,) = MANIFESTS["argo-rollouts/analysis-template.yaml"]["spec"]["metrics"]
    text = json.dumps(metric["provider"]["web"])
    for name, value in {"service": "shop", "version": version, "weight": weight}.items():
        text = text.replace("{{args." + name + "}}", value)
    web = json.loads(text)
    answer = judging.request(web["method"], web["url"].removeprefix(SERVICE), json=web["jsonBody"])
    assert answer.status_code == 200, answer.text
    assert web["jsonPath"] == "{$.decision}"
    result = json.dumps(answer.json()["decision"])
    conditions = {
        metric[f"{name}Condition"].removeprefix("result == "): name for name in ("success", "failure")
    }
    return conditions.get(result, "inconclusive")


def test_argo_rollouts_waits_at_each_step_until_the_judge_says_promote(judging, prometheus):
    template = MANIFESTS["argo-rollouts/analysis-template.yaml"]["spec"]["metrics"][0]
    shop = Shop(template["provider"]["web"]["jsonBody"]["prometheus"], prometheus)
    for weight in (5, 25, 50):
        measured = []
        while not measured or measured[-1] == "inconclusive":
            shop.serve(weight)
            measured.append(measure(judging, f"{weight}%"))
            assert len(measured) < 100
        assert measured[-1] == "success", measured
    for _ in range(3):  # one look with failures may be one burst
        shop.serve(50, bad=300)
        measured.append(measure(judging, "50%"))
    assert measured[-1] == "failure"


def test_manifests_name_each_other_rightly():
    deployment, service = MANIFESTS["judge/deployment.yaml"], MANIFESTS["judge/service.yaml"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    name, space = service["metadata"]["name"], service["metadata"]["namespace"]
    assert f"http://{name}.{space}:{service['spec']['ports'][0]['port']}" == SERVICE
    assert f"{name}.{space}" in container["command"]
    assert service["spec"]["selector"] == deployment["spec"]["template"]["metadata"]["labels"]
    claim = deployment["spec"]["template"]["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"]
    assert claim == MANIFESTS["judge/claim.yaml"]["metadata"]["name"]
    steps = MANIFESTS["argo-rollouts/rollout.yaml"]["spec"]["strategy"]["canary"]["steps"]
    templates = {t["templateName"] for s in steps if "analysis" in s for t in s["analysis"]["templates"]}
    kinds = {m["metadata"]["name"] for m in MANIFESTS.values() if m["kind"] == "AnalysisTemplate"}
    assert templates == kinds
    for before, after in pairwise(steps):
        if "setWeight" in before:
            told = {arg["name"]: arg.get("value") for arg in after["analysis"]["args"]}
            assert told["weight"] == f"{before['setWeight']}%"


@pytest.mark.parametrize("name", MANIFESTS)
def test_every_manifest_says_what_it_is(name):
    manifest = MANIFESTS[name]
    assert {"apiVersion", "kind", "metadata", "spec"} == set(manifest)
    assert manifest["metadata"]["name"]
    assert manifest["metadata"]["namespace"]


def test_the_commands_of_the_job_and_the_deployment_are_ones_that_there_are():
    from typer.testing import CliRunner

    from modelserve.cli.main import app

    pods = [
        MANIFESTS["judge/deployment.yaml"]["spec"],
        MANIFESTS["argo-rollouts/job-template.yaml"]["spec"]["metrics"][0]["provider"]["job"]["spec"],
    ]
    for pod in pods:
        command = pod["template"]["spec"]["containers"][0]["command"][1:]
        told = CliRunner().invoke(app, [*command[:2], "--help"], env={"COLUMNS": "200"})
        assert told.exit_code == 0
        assert [word for word in command if word.startswith("--") and word not in told.output] == []


def test_the_python_of_the_page_gives_what_it_says():
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    names = {}
    for line in code.splitlines():
        told, _, said = line.partition("   #")
        if said:
            assert str(eval(told, names)).startswith(said.strip().removesuffix("...")), told
        else:
            exec(line, names)
    assert names["Judge"] is Judge


def test_the_curls_of_the_page_are_answered(judging):
    for command in re.findall(r"^curl .*$", PAGE, re.M):
        words = shlex.split(command.replace("http://127.0.0.1:8090", str(judging.base_url).rstrip("/")))
        done = subprocess.run([*words, "-sS", "-f"], capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, (command, done.stderr)
        json.loads(done.stdout)


def test_the_page_tells_every_setting_and_its_default():
    for name, field in Terms.model_fields.items():
        row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{field.alias}` |"))
        written = json.loads(Terms().model_dump_json(by_alias=True))[field.alias]
        shown = json.dumps(written) if isinstance(written, list) else f"{written}"
        assert shown in row, name
