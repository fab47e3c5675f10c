"""The platform says who holds what, and leaves nothing behind."""

import json
import socket

import psutil
import pytest


def test_who_holds_the_port(fresh_platform):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", fresh_platform.port))
        holder.listen()
        said = fresh_platform.cli("up", "--port", str(fresh_platform.port), code=1)
    assert str(fresh_platform.port) in said
    assert fresh_platform.processes() == []


def test_who_runs_already(platform):
    said = platform.cli("up", code=1)
    assert f"pid {platform.controller_pid()}" in said
    assert "modelserve down" in said


def test_who_was_first_when_two_start_at_once(fresh_platform):
    starts = [fresh_platform.start_cli("up", "--port", str(fresh_platform.port)) for _ in range(2)]
    ended = [(start.communicate(timeout=60), start.returncode) for start in starts]
    assert sorted(code for _, code in ended) == [0, 1]
    ((_, said),) = [output for output, code in ended if code == 1]
    assert f"pid {fresh_platform.controller_pid()}" in said


@pytest.mark.parametrize("command", [("status",), ("models",), ("rollout", "status", "x"), ("rollback", "x")])
def test_that_nothing_runs(fresh_platform, command):
    assert "modelserve up" in fresh_platform.cli(*command, code=3)


def test_nothing_is_left_when_it_is_down(fresh_platform, models):
    fresh_platform.up()
    fresh_platform.apply("digits", models / "resnet-digits-1", scaling={"min": 2})
    fresh_platform.wait_for_ready("digits", "digits-00001", replicas=2)
    assert len(fresh_platform.processes()) >= 4
    fresh_platform.cli("down")
    assert fresh_platform.processes() == []
    assert "modelserve up" in fresh_platform.cli("status", code=3)


def test_what_it_served_before_it_serves_again(fresh_platform, models):
    fresh_platform.up()
    fresh_platform.apply("digits", models / "resnet-digits-1")
    fresh_platform.wait_for_phase("digits", "stable")
    fresh_platform.cli("down")
    fresh_platform.up()
    fresh_platform.wait_for_ready("digits", "digits-00001")
    with fresh_platform.load("digits") as load:
        fresh_platform.wait_for("answers", lambda: load.losses.answered["digits-00001"] > 20)
    assert load.losses.failed == []


def test_what_it_recorded_in_postgres_it_still_knows_after_a_kill(fresh_platform, models, postgres_url):
    fresh_platform.up("--records", postgres_url)
    fresh_platform.apply("digits", models / "resnet-digits-1")
    fresh_platform.wait_for_phase("digits", "stable")
    before = fresh_platform.wait_for_ready("digits", "digits-00001")
    psutil.Process(fresh_platform.controller_pid()).kill()
    fresh_platform.up("--records", postgres_url)
    assert fresh_platform.wait_for_ready("digits", "digits-00001") == before
    assert not (fresh_platform.home / "records.db").exists()


def test_a_damaged_package_is_refused_before_anything_changes(platform, models, tmp_path):
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in (models / "resnet-digits-1").iterdir():
        (broken / file.name).write_bytes(file.read_bytes())
    (broken / "model.onnx").write_bytes((broken / "model.onnx").read_bytes()[:5000])
    said = platform.cli("deploy", "digits", "--model", str(broken), code=1)
    assert "model.onnx" in said
    assert json.loads(json.dumps(platform.cli("status")["services"])) == []


def test_that_the_address_of_the_cache_is_wrong_and_keeps_its_password(fresh_platform, monkeypatch):
    monkeypatch.setenv("MODELSERVE_CACHE_URL", "redis://me:hunter2@host:port")
    said = fresh_platform.cli("up", "--port", str(fresh_platform.port), code=1)
    assert "cache_url: must be memory:// or redis://" in said
    assert "hunter2" not in said + "".join(
        file.read_text(errors="replace") for file in fresh_platform.home.rglob("*") if file.is_file()
    )
