import pytest

from modelserve.domain.workloads import ReplicaPhase, Workload
from modelserve.errors import Unavailable
from modelserve.launchers.memory import MemoryLauncher

WORKLOAD = Workload("ner", "ner-00001", 2)


async def test_replicas_are_in_the_phase_they_are_put_in():
    launcher = MemoryLauncher()
    await launcher.apply([WORKLOAD])

    launcher.put("ner-00001", ReplicaPhase.CRASH_LOOPING, "no memory")

    seen = await launcher.replicas()
    assert [(replica.phase, replica.reason) for replica in seen] == [
        (ReplicaPhase.CRASH_LOOPING, "no memory")
    ] * 2


async def test_a_restart_changes_the_epoch_and_counts():
    launcher = MemoryLauncher()
    await launcher.apply([WORKLOAD])
    before = await launcher.replicas()

    launcher.restart("ner-00001")

    after = await launcher.replicas()
    assert all(a.epoch != b.epoch and a.restarts == 1 for a, b in zip(after, before, strict=True))


async def test_out_of_reach_is_unavailable():
    launcher = MemoryLauncher()
    launcher.out_of_reach = True

    with pytest.raises(Unavailable):
        await launcher.replicas()
