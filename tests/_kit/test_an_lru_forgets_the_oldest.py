import threading

from modelserve._kit.lru import Lru


def test_what_was_asked_for_longest_ago_is_forgotten_first():
    lru = Lru(3)
    for key in "abc":
        lru.put(key, key.upper(), 1)
    assert lru.get("a") == "A"

    lru.put("d", "D", 1)

    assert [lru.get(key) for key in "abcd"] == ["A", None, "C", "D"]
    assert (lru.held, lru.evictions, len(lru)) == (3, 1, 3)
    assert (lru.hits, lru.misses) == (4, 1)


def test_a_value_that_takes_the_place_of_another_counts_once():
    lru = Lru(10)
    lru.put("a", 1, 9)
    lru.put("a", 2, 5)

    assert (lru.get("a"), lru.held, lru.evictions) == (2, 5, 0)


def test_a_value_that_never_fits_takes_the_old_one_with_it():
    lru = Lru(10)
    lru.put("a", 1, 9)
    lru.put("a", 2, 11)

    assert (lru.get("a"), lru.held) == (None, 0)


def test_threads_do_not_break_its_sums():
    lru = Lru(1000)

    def work(seed):
        for n in range(2000):
            key = f"{(n * seed) % 97}"
            lru.get(key)
            lru.put(key, n, n % 50)
            lru.drop(f"{n % 13}")

    threads = [threading.Thread(target=work, args=(seed,)) for seed in (3, 5, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 0 <= lru.held <= 1000
    lru.clear()
    assert (lru.held, len(lru)) == (0, 0)
