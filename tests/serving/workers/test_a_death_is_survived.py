"""Processes die under load; clients count what they lost."""

from __future__ import annotations

import signal
import threading
from typing import Any

import httpx
import psutil

from tests.serving.workers.conftest import Load, Tree


def test_of_the_engine(with_workers: Any) -> None:
    tree: Tree = with_workers("slow")
    server, before, first = tree.server, tree.server.told, tree.engine.pid
    with Load(server.url(), 8) as load:
        server.until(lambda: load.seen["200"] >= 40, "the load runs")
        tree.engine.kill()
        server.until(lambda: load.seen["503"] > 0, "calls are refused")
        assert server.get("/v2/health/ready") == 503
        assert server.get("/v2/health/live") == 200
        answered = load.seen["200"]
        server.until(lambda: load.seen["200"] > answered + 40, "calls are answered again")
    assert load.seen["lost"] == load.seen["refused"] == 0
    assert load.seen["engine_died"] > 0
    assert tree.engine.pid != first
    after = server.told
    assert (after["pid"], after["port"]) == (before["pid"], before["port"])
    assert after["epoch"] != before["epoch"]
    assert httpx.get(f"{server.url()}/internal/figures").json()["epoch"] == after["epoch"]


def test_of_a_worker(with_workers: Any) -> None:
    tree: Tree = with_workers("slow")
    server, epoch = tree.server, tree.server.told["epoch"]
    victim = tree.workers[0]
    with Load(server.url(), 8) as load:
        server.until(lambda: load.seen["200"] >= 40, "the load runs")
        victim.kill()
        victim.wait(10)
        server.until(lambda: len(tree.workers) == 2, "another worker is there")
        answered = load.seen["200"]
        server.until(lambda: load.seen["200"] > answered + 40, "the load goes on")
    assert load.seen["503"] == load.seen["refused"] == 0
    assert load.seen["lost"] <= 8, "only calls on the dead worker's connections"
    assert server.told["epoch"] == epoch, "nothing that was counted is lost"


def test_of_the_parent_which_takes_all_with_it(with_workers: Any) -> None:
    tree: Tree = with_workers()
    processes = [tree.engine, *tree.workers]
    tree.parent.kill()
    gone, alive = psutil.wait_procs(processes, timeout=20)
    assert (len(gone), alive) == (3, [])


def test_not_of_an_engine_whose_package_is_unfit(start: Any, tmp_path: Any) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    server = start(broken, http_workers=2)
    assert server.process.wait(30) == 3
    assert "broken.onnx" in server.told["error"]
    assert server.told["pid"] == server.process.pid


def test_no_call_is_lost_when_the_server_is_stopped_under_load(with_workers: Any) -> None:
    tree: Tree = with_workers("slow")
    server, processes = tree.server, [tree.engine, *tree.workers]
    with Load(server.url(), 6, until_refused=True) as load:
        server.until(lambda: load.seen["200"] >= 20, "the load runs")
        for process in (tree.parent, *processes):  # as a service manager does
            process.send_signal(signal.SIGTERM)
        answered = load.seen["200"]
        load.join()
    assert server.process.wait(30) == 0
    assert set(load.seen) - {"200", "ok", "lost", "503"} == set()
    assert (load.seen["lost"], load.seen["503"]) == (0, 0)
    assert load.seen["200"] > answered, "it answered on while it drained"
    assert not any(process.is_running() for process in processes)


def test_a_call_that_overruns_the_drain_is_told_so(with_workers: Any) -> None:
    tree: Tree = with_workers("slow", drain=1, max_batch=1, max_items=100_000, threads=1, timeout=600)
    url = tree.server.url()
    answers: list[httpx.Response] = []
    body = {"instances": [[1.0, 2.0]] * 20_000}

    def ask() -> None:
        answers.append(httpx.post(f"{url}/v1/models/m:predict", json=body, timeout=60))

    client = threading.Thread(target=ask)
    client.start()
    tree.server.until(lambda: _runs(url) > 0, "the call runs")
    tree.server.process.send_signal(signal.SIGTERM)
    client.join(30)
    assert tree.server.process.wait(30) == 0
    assert (answers[0].status_code, answers[0].json()["retryable"]) == (503, True)


def _runs(url: str) -> float:
    lines = httpx.get(f"{url}/metrics").text.splitlines()
    name = "modelserve_inference_seconds_count"
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))
