from pathlib import Path

from benchmarks.serving import samples
from benchmarks.serving.doors import Door
from benchmarks.serving.lineup import Effort, Lineup, in_turn
from benchmarks.serving.models import ROOT
from benchmarks.serving.servers import BEFORE, SERVERS, Server
from benchmarks.serving.throughput import Throughput
from benchmarks.serving.wires import JSON


def test_measures_its_servers_in_turn_while_the_others_hold_still() -> None:
    with Lineup("tiny", JSON, samples.tensors("tiny", 4)) as lineup:
        lineup.enter(["modelserve", "echo"])
        assert lineup.start.answer > 0
        measures = {
            each.name: lambda each=each: each.load(2, 0.1, warm_up=0.05) for each in lineup.contenders
        }
        rounds = in_turn(2, measures)
    assert [list(taken) for taken in rounds] == [["modelserve", "echo"], ["echo", "modelserve"]]
    for taken in rounds:
        assert all(each["rate"] > 0 and each["failures"] == 0 for each in taken.values())


def test_compares_this_checkout_with_another() -> None:
    case = Throughput("tiny-json", "A tiny model", "tiny", JSON, {2: 0.1}, against="echo")
    result = case.run(Effort(2, 0.2, frozenset({"modelserve"}), 1, before=ROOT))
    assert [row["server"] for row in result.rows] == ["modelserve", "echo", BEFORE]
    (check,) = (check for check in result.checks if "other checkout" in check.what)
    assert (check.goal, check.measured > 0) == (0.98, True)


def test_takes_in_envoy_before_a_server(tmp_path: Path) -> None:
    with Lineup("tiny", JSON, samples.tensors("tiny", 4), pausing=False) as lineup:
        server = SERVERS["modelserve"](lineup.start)
        assert isinstance(server, Server)
        lineup.add(server)
        contender = lineup.add(Door(server, tmp_path))
        taken = contender.load(2, 0.2, warm_up=0.05)
        assert len(contender.server.pids) == 2
    assert taken["rate"] > 0
    assert taken["failures"] == 0
