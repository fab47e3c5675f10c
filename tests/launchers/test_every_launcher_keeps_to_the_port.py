"""One suite for the port, over all of its adapters."""


async def test_apply_brings_up_each_replica_at_an_address_of_its_own(launcher, package, reach):
    await launcher.apply([package.workload(replicas=2)])

    first, second = await reach(launcher, count=2)

    assert (first.workload, first.index, second.index) == ("ner-00001", 0, 1)
    assert first.address != second.address
    assert first.epoch != second.epoch
    assert first.pid != second.pid
    assert first.restarts == 0


async def test_applying_the_same_again_leaves_what_runs_alone(launcher, package, reach):
    await launcher.apply([package.workload()])
    before = await reach(launcher)

    await launcher.apply([package.workload()])

    assert await launcher.replicas() == before


async def test_a_workload_that_is_not_named_any_more_is_gone(launcher, package, reach):
    await launcher.apply([package.workload("ner-00001"), package.workload("ner-00002")])
    await reach(launcher, count=2)

    await launcher.apply([package.workload("ner-00002")])

    (left,) = await launcher.replicas()
    assert left.workload == "ner-00002"


async def test_fewer_replicas_keep_the_first_ones_untouched(launcher, package, reach):
    await launcher.apply([package.workload(replicas=3)])
    before = await reach(launcher, count=3)

    await launcher.apply([package.workload(replicas=1)])

    assert await launcher.replicas() == before[:1]


async def test_a_changed_configuration_means_a_new_process(launcher, package, reach):
    await launcher.apply([package.workload(max_batch=1)])
    (before,) = await reach(launcher)

    await launcher.apply([package.workload(max_batch=2)])

    (after,) = await reach(launcher)
    assert after.epoch != before.epoch
    assert after.pid != before.pid


async def test_nothing_runs_before_the_first_apply(launcher):
    assert await launcher.replicas() == ()


async def test_stop_leaves_nothing_running_and_may_be_repeated(launcher, package, reach):
    await launcher.apply([package.workload(replicas=2)])
    await reach(launcher, count=2)

    await launcher.stop()
    await launcher.stop()

    assert await launcher.replicas() == ()


async def test_a_stopped_launcher_can_start_again(launcher, package, reach):
    await launcher.apply([package.workload()])
    (before,) = await reach(launcher)
    await launcher.stop()

    await launcher.apply([package.workload()])

    (after,) = await reach(launcher)
    assert after.epoch != before.epoch
