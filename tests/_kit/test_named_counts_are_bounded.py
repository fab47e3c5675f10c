"""Named counts are bounded: whoever is long idle gives up its place, and begins anew if it comes back."""

from modelserve._kit.named_counts import IDLE, MOST, OTHER, STRIDE, NamedCounts


def full() -> NamedCounts:
    counts = NamedCounts()
    for number in range(MOST):
        counts.add(f"n{number}", bad=False)
    return counts


def test_and_each_name_has_its_own():
    counts = NamedCounts()
    for bad in (False, True, True):
        counts.add("acme", bad)
    counts.add("globex", False)
    read = counts.read()
    assert {name: reading[1:] for name, reading in read.items()} == {"acme": (3, 2), "globex": (1, 0)}
    assert read["globex"][0] > read["acme"][0]


def test_however_many_names_come():
    counts = full()
    for number in range(10 * STRIDE):
        counts.add(f"late{number}", bad=True)
    read = counts.read()
    assert len(read) == MOST + 1
    assert read[OTHER][1:] == (10 * STRIDE, 10 * STRIDE)


def test_and_a_stranger_called_like_the_rest_is_of_the_rest():
    counts = NamedCounts()
    counts.add(OTHER, bad=True)
    assert list(counts.read()) == [OTHER]


def test_and_an_idle_name_makes_room_for_a_newcomer_that_keeps_coming():
    counts = full()
    before = counts.read()["n0"]
    for number in range(IDLE + STRIDE):
        counts.add(f"n{1 + number % (MOST - 1)}", bad=False)
    for _ in range(STRIDE):
        counts.add("new", bad=False)
    read = counts.read()
    assert "n0" not in read
    assert read["new"][0] > before[0]
    assert len(read) == MOST + 1


def test_and_nobody_who_is_busy_makes_room():
    counts = full()
    for number in range(3 * IDLE):
        counts.add(f"n{number % MOST}", bad=False)
        if number % 10 == 0:
            counts.add(f"flood{number}", bad=False)
    assert {name for name in counts.read() if name != OTHER} == {f"n{number}" for number in range(MOST)}
