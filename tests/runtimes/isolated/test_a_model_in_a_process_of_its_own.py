"""A model in a process of its own ..."""

import errno
import logging
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest

from modelserve.domain.inference import DataType, TensorSpec
from modelserve.errors import EngineDied, InvalidInput, InvalidPackage, ModelFailed
from modelserve.runtimes.isolated import lane
from modelserve.runtimes.isolated.channel import INLINE, Channel

ECHO = "def predict(self, inputs): return {'y': inputs['x']}"
WHO = "def predict(self, inputs): return {'y': np.full_like(inputs['x'], os.getpid())}"
ON_ORDER = """
def predict(self, inputs):
    order = inputs['x'][0, 0]
    if order == 1: os._exit(7)
    if order == 2: ctypes.string_at(0)
    if order == 3: time.sleep(600)
    if order == 4: raise ValueError('this one is bad')
    return {'y': np.full_like(inputs['x'], os.getpid())}
"""


def x(*row):
    return {"x": np.array([row], np.float32)}


def pid_of(model):
    return int(model.predict(x(0.0, 0.0))["y"][0, 0])


def failing(function, call):
    """The function, of which one call fails."""
    calls = []

    def run(*given):
        calls.append(given)
        if len(calls) == call:
            raise OSError(errno.ENOBUFS, "too little")
        return function(*given)

    return run


class TestTensors:
    def test_of_any_size_come_back_as_they_were(self, host):
        model = host(ECHO)
        for rows in (1, 3, INLINE // 4, INLINE // 4 + 1, 300_000):
            for seed in range(3):  # the second answer finds the memory that the first one asked for
                given = np.random.default_rng(seed).random((rows, 1), np.float32)
                np.testing.assert_array_equal(model.predict({"x": given})["y"], given)

    def test_that_grow_and_shrink_do_not_mix(self, host):
        model = host(ECHO)
        for rows in (10, 100_000, 5, 200_000, 1, 100_000):
            given = np.full((rows, 1), rows, np.float32)
            np.testing.assert_array_equal(model.predict({"x": given})["y"], given)

    def test_keep_their_type(self, host):
        kinds = [kind for kind in DataType if kind is not DataType.BYTES]
        specs = [TensorSpec(kind.value, kind, (-1,)) for kind in kinds]
        model = host("def predict(self, inputs): return inputs", inputs=specs, outputs=specs)
        given = {kind.value: np.array([0, 1, 1], kind.numpy) for kind in kinds}
        answers = model.predict(given)
        assert {name: answer.dtype for name, answer in answers.items()} == {
            name: data.dtype for name, data in given.items()
        }
        for name, answer in answers.items():
            np.testing.assert_array_equal(answer, given[name])

    def test_may_be_bytes_or_empty(self, host):
        spec = TensorSpec("x", DataType.BYTES, (-1, 2))
        model = host(ECHO, inputs=[spec], outputs=[TensorSpec("y", DataType.BYTES, (-1, 2))])
        given = np.array([[b"", "Ærø".encode()], [b"\xff\0", b"x" * 100_000]], object)
        np.testing.assert_array_equal(model.predict({"x": given})["y"], given)
        assert model.predict({"x": given[:0]})["y"].shape == (0, 2)

    def test_need_not_lie_in_one_piece(self, host):
        given = np.arange(12, dtype=np.float32).reshape(3, 4).T
        np.testing.assert_array_equal(host(ECHO).predict({"x": given})["y"], given)

    def test_may_be_kept_by_the_model(self, host):
        model = host(
            """
            def load(self, folder): self.kept = []
            def predict(self, inputs):
                self.kept.append(inputs['x'])
                return {'y': self.kept[0][:1] + 0 * inputs['x'][:1]}
        """,
            outputs=[TensorSpec("y", DataType.FP32, (1, -1))],
        )
        for value in (1.0, 2.0, 3.0):
            given = np.full((1, 50_000), value, np.float32)
            assert set(model.predict({"x": given})["y"].flat) == {1.0}

    @pytest.mark.parametrize(
        ("place", "name", "call"),
        [(lane, "sealed_file", 1), (lane, "sealed_file", 2), (lane, "Arena", 2), (Channel, "send", 1)],
    )
    def test_are_their_own_after_the_machine_ran_short(self, host, monkeypatch, place, name, call):
        model = host("def predict(self, inputs): return {'y': inputs['x'] + 0}")
        model.predict({"x": np.full((50_000, 1), 2, np.float32)})
        with monkeypatch.context() as patch:
            patch.setattr(place, name, failing(getattr(place, name), call))
            with pytest.raises(OSError, match="too little"):
                model.predict({"x": np.full((100_000, 1), 3, np.float32)})
        for rows in (50_000, 100_000):
            assert set(model.predict({"x": np.full((rows, 1), 7, np.float32)})["y"].flat) == {7.0}

    def test_may_be_changed_in_place(self, host):
        model = host("""
            def predict(self, inputs):
                inputs['x'] *= 2
                return {'y': inputs['x']}
        """)
        for rows in (1, 50_000):
            given = np.ones((rows, 1), np.float32)
            assert set(model.predict({"x": given})["y"].flat) == {2.0}
            assert set(given.flat) == {1.0}


class TestCalls:
    def test_run_in_as_many_processes_as_told(self, host):
        model = host(WHO, processes=2)
        assert model.lanes == 2
        with ThreadPoolExecutor(2) as threads:
            pids = {int(y["y"][0, 0]) for y in threads.map(lambda _: model.predict(x(0.0)), range(50))}
        assert len(pids) == 2
        assert os.getpid() not in pids

    def test_share_one_process_with_several_lanes(self, host):
        model = host(
            """
            def load(self, folder):
                import threading
                self.together = threading.Barrier(2)
            def predict(self, inputs):
                self.together.wait(10)
                return {'y': np.full_like(inputs['x'], os.getpid())}
        """,
            lanes=2,
        )
        with ThreadPoolExecutor(2) as threads:
            pids = {int(y["y"][0, 0]) for y in threads.map(lambda _: model.predict(x(0.0)), range(2))}
        assert len(pids) == 1

    def test_of_more_threads_than_lanes_take_turns(self, host):
        model = host(ECHO)
        start = threading.Barrier(4)

        def ask(value):
            start.wait()
            return {float(model.predict(x(value))["y"][0, 0]) for _ in range(50)}

        with ThreadPoolExecutor(4) as threads:
            assert list(threads.map(ask, [1.0, 2.0, 3.0, 4.0])) == [{1.0}, {2.0}, {3.0}, {4.0}]


class TestFailures:
    def test_of_the_code_are_the_batchs_alone(self, host):
        model = host(ON_ORDER)
        with pytest.raises(ModelFailed) as caught:
            model.predict(x(4.0))
        assert caught.value.message == "the model failed: ValueError: this one is bad"
        assert "line" in str(caught.value.__cause__), "the traceback is for the log"
        assert pid_of(model)

    def test_may_be_the_clients_fault(self, host):
        model = host("""
            def predict(self, inputs):
                from modelserve.errors import InvalidInput
                raise InvalidInput('x: got a week of 8 days')
        """)
        with pytest.raises(InvalidInput, match="a week of 8 days") as caught:
            model.predict(x(0.0))
        assert caught.value.__cause__ is None

    @pytest.mark.parametrize(("order", "how"), [(1.0, "exited with code 7"), (2.0, "was killed by SIGSEGV")])
    def test_that_end_the_process_can_be_tried_again(self, host, until, order, how):
        model = host(ON_ORDER)
        first = pid_of(model)
        with pytest.raises(EngineDied, match=f"the engine's process {how}") as caught:
            model.predict(x(order))
        assert caught.value.retryable
        until(lambda: model.vitals().replaced == {"died": 1}, "the end is noticed")
        until(lambda: model.vitals().available, "another process is there")
        assert pid_of(model) != first

    def test_by_a_signal_from_outside_are_noticed_at_once(self, host, until):
        model = host(WHO)
        os.kill(pid_of(model), 9)
        until(lambda: model.vitals().replaced == {"died": 1}, "the end is noticed while nobody asks")
        until(lambda: model.vitals().available, "another process is there")
        assert pid_of(model)

    def test_to_answer_in_time_end_the_process(self, host, until):
        model = host(ON_ORDER, limit=2.0)  # for its other answers, too
        first = pid_of(model)
        with pytest.raises(EngineDied, match=r"did not answer within 2 s; its process was killed"):
            model.predict(x(3.0))
        until(lambda: model.vitals().available, "another process is there")
        assert pid_of(model) != first
        assert model.vitals().replaced["hung"] == 1

    def test_in_one_process_leave_the_other_answering(self, host):
        model = host(ON_ORDER, processes=2)
        with pytest.raises(EngineDied):
            model.predict(x(1.0))
        assert model.vitals().available
        assert pid_of(model)

    def test_end_what_the_process_has_started_too(self, host, until, tmp_path):
        model = host("""
            def predict(self, inputs):
                child = os.fork()
                if child == 0: time.sleep(600)
                (self.folder / 'child').write_text(str(child))
                os._exit(3)
        """)
        with pytest.raises(EngineDied):
            model.predict(x(0.0))
        pid = int((tmp_path / "child").read_text())
        until(lambda: not psutil.pid_exists(pid), "the child is gone")


class TestLoading:
    @pytest.mark.parametrize(
        ("body", "message"),
        [
            ("def load(self, folder): raise KeyError('weights')\ndef predict(self, i): ...",
             "model:Model: load failed: KeyError: 'weights'"),
            ("def load(self, folder): sys.exit('no licence')\ndef predict(self, i): ...",
             r"the engine's process exited with code 1 \(no licence\) while it loaded the model"),
            ("def load(self, folder): os.kill(os.getpid(), 9)\ndef predict(self, i): ...",
             "the engine's process was killed by SIGKILL while it loaded the model"),
        ],
    )  # fmt: skip
    def test_that_fails_is_told_in_the_codes_words(self, host, body, message):
        with pytest.raises(InvalidPackage, match=message):
            host(body)

    def test_leaves_nothing_in_the_package(self, host, tmp_path):
        host(ECHO)
        assert [entry.name for entry in tmp_path.iterdir()] == ["model.py"]


class TestMemory:
    def test_is_told_for_each_process(self, host, until):
        model = host(ECHO, processes=2)
        until(lambda: len(model.vitals().memory) == 2, "both were looked at")
        assert all(held > 10_000_000 for held in model.vitals().memory.values())

    def test_beyond_the_bound_replaces_the_process_between_batches(self, host, until):
        model = host(
            """
            def load(self, folder): self.leak = []
            def predict(self, inputs):
                self.leak.append(np.ones(int(inputs['x'][0, 0]), np.uint8))
                return {'y': np.full_like(inputs['x'], os.getpid())}
        """,
            max_memory=250_000_000,
        )
        first = int(model.predict(x(300e6))["y"][0, 0])
        pids = []

        def replaced():
            pids.append(int(model.predict(x(1.0))["y"][0, 0]))
            return pids[-1] != first

        until(replaced, "another process answers")
        assert model.vitals().replaced == {"memory": 1}
        until(lambda: not psutil.pid_exists(first), "the old process is gone")


class TestOutput:
    def test_goes_to_the_log_line_by_line(self, host, until, caplog):
        caplog.set_level(logging.INFO, "modelserve.engine.output")
        host("""
            def load(self, folder):
                print('Ærø')
                print('careful', file=sys.stderr)
            def predict(self, inputs): ...
        """)
        until(lambda: len(caplog.records) >= 2, "both lines are there")
        assert {(r.fields["stream"], r.getMessage()) for r in caplog.records} == {
            ("stdout", "Ærø"), ("stderr", "careful"),
        }  # fmt: skip


class TestItsProcess:
    def test_ends_when_the_model_is_closed(self, host):
        model = host(WHO)
        pid = pid_of(model)
        model.close()
        assert not psutil.pid_exists(pid)

    def test_ends_with_its_server_even_while_it_holds_the_interpreter(self, host, tmp_path, until):
        program = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from conftest import package_of
from modelserve.runtimes.isolated import Hosting, IsolatedModel
import numpy as np
package = package_of(Path({str(tmp_path)!r}), '''
def predict(self, inputs):
    print(os.getpid(), file=open(self.folder / 'pid', 'w'), flush=True)
    ctypes.PyDLL(None).usleep(600_000_000)
''')
IsolatedModel(Hosting(package)).predict({{'x': np.ones((1, 1), np.float32)}})
"""
        server = subprocess.Popen([sys.executable, "-c", program])
        told = tmp_path / "pid"
        until(lambda: told.exists() and told.read_text().strip(), "the model runs")
        pid = int(told.read_text())
        server.kill()
        server.wait()
        until(lambda: not psutil.pid_exists(pid), "its process is gone")

    def test_does_not_end_on_signals_that_are_meant_for_the_server(self, host):
        model = host(WHO)
        pid = pid_of(model)
        for number in (2, 15):
            os.kill(pid, number)
        assert pid_of(model) == pid


class TestPieces:
    COUNT = """
    def stream(self, inputs):
        try:
            for step in range(int(inputs['x'][0, 0])):
                (self.folder / 'made').write_text(str(step))
                yield {'y': np.full_like(inputs['x'], step)}
            if inputs['x'][0, 0] == 3: raise ValueError('after three')
        finally:
            (self.folder / 'ended').touch()
    """

    def test_come_one_by_one(self, host):
        model = host(self.COUNT)
        assert model.streams
        assert [float(piece["y"][0, 0]) for piece in model.stream(x(4.0))] == [0, 1, 2, 3]

    def test_may_be_large(self, host):
        model = host(self.COUNT)
        given = {"x": np.full((1, 100_000), 4.0, np.float32)}
        assert [set(piece["y"].flat) for piece in model.stream(given)] == [{0.0}, {1.0}, {2.0}, {3.0}]

    def test_end_with_the_failure_of_the_code(self, host):
        pieces = host(self.COUNT).stream(x(3.0))
        assert len([next(pieces) for _ in range(3)]) == 3
        with pytest.raises(ModelFailed, match="ValueError: after three"):
            next(pieces)

    def test_that_nobody_wants_any_more_are_not_made(self, host, tmp_path):
        model = host(self.COUNT + "def predict(self, inputs): return {'y': inputs['x']}")
        pieces = model.stream(x(1e6))
        next(pieces)
        next(pieces)
        pieces.close()
        assert (tmp_path / "ended").exists()
        assert (tmp_path / "made").read_text() == "1"
        assert model.predict(x(5.0))["y"][0, 0] == 5, "the lane is free again"

    def test_end_when_the_process_does(self, host):
        model = host("""
            def stream(self, inputs):
                yield {'y': inputs['x']}
                os._exit(1)
        """)
        pieces = model.stream(x(1.0))
        next(pieces)
        with pytest.raises(EngineDied):
            next(pieces)

    def test_are_not_an_answer_to_a_plain_call(self, host):
        with pytest.raises(InvalidInput, match="answers in pieces"):
            host(self.COUNT).predict(x(1.0))


def test_may_be_of_any_engine(host, tmp_path):
    from onnx import TensorProto, helper, save

    from modelserve.packages import open_package
    from modelserve.runtimes.isolated import Hosting, IsolatedModel

    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 2]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", value[:1], value[1:])
    opset = [helper.make_opsetid("", 18)]
    save(helper.make_model(graph, opset_imports=opset, ir_version=10), tmp_path / "m.onnx")
    model = IsolatedModel(Hosting(open_package(tmp_path / "m.onnx"), lanes=2))
    try:
        assert model.predict(x(-1.0, 2.0))["y"].tolist() == [[0, 2]]
        with pytest.raises(ModelFailed):
            model.predict({"x": np.ones((1, 3), np.float32)})
    finally:
        model.close()
