import os

from benchmarks.serving.models import package
from benchmarks.serving.raw import Raw, Setting, settings
from benchmarks.serving.wires import JSON


def test_is_measured_with_no_more_rows_than_clients_wait_for() -> None:
    for clients in (1, 4, 32):
        found = settings(clients)
        assert found
        assert all(each.runs * each.batch <= clients for each in found)
    assert Setting(1, os.cpu_count() or 1, 1) in settings(1)


def test_tells_rows_per_second_and_what_they_cost() -> None:
    raw = Raw(package("tiny") / "model.onnx", JSON)
    try:
        taken = raw.measure(Setting(1, 1, 4), 0.05)
    finally:
        raw.close()
    assert taken["rate"] > 0
    assert taken["cpu_us"] > 0
