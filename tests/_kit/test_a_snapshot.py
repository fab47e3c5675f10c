from modelserve._kit.snapshots import MOST, snapshot


def reading(*told):
    """Tells one after the other; how many were taken stands in ``taken``."""
    taken = []

    async def read():
        taken.append(told[len(taken)])
        return taken[-1]

    return read, taken


async def test_is_two_equal_readings():
    read, taken = reading((10, 0), (10, 0))
    assert await snapshot(read) == (10, 0)
    assert len(taken) == 2


async def test_never_holds_figures_from_before_and_after_a_change():
    read, taken = reading((10, 3), (20, 3), (20, 3))
    assert await snapshot(read) == (20, 3)
    assert len(taken) == 3


async def test_of_what_never_rests_is_the_last_reading():
    read, taken = reading(*range(MOST))
    assert await snapshot(read) == MOST - 1
    assert len(taken) == MOST
