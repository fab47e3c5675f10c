import pytest

from modelserve.domain.workloads import ReplicaPhase
from modelserve.launchers.supervision import HEALTHY_AFTER, LOOPING_EXITS, PATIENCE, Supervision


def crash(care: Supervision, now: float) -> float:
    """One start and exit at ``now``; returns the wait until the next start."""
    care.started()
    care.exited(now, "exited with code 1")
    return care.next_start - now


def test_the_wait_doubles_up_to_five_seconds():
    care = Supervision()

    waits = [crash(care, now=100.0 * i) for i in range(9)]

    assert waits == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0])


def test_half_a_minute_of_health_forgives_earlier_exits():
    care = Supervision()
    for _ in range(4):
        crash(care, now=0.0)
    care.started()
    care.answered(10.0)
    care.answered(10.0 + HEALTHY_AFTER)

    assert crash(care, now=100.0) == pytest.approx(0.1)


def test_health_that_was_interrupted_starts_to_count_again():
    care = Supervision()
    for _ in range(4):
        crash(care, now=0.0)
    care.started()
    care.answered(10.0)
    care.missed(20.0, "readiness says 503", silent=False)
    care.answered(30.0)
    care.answered(10.0 + HEALTHY_AFTER)

    assert crash(care, now=100.0) == pytest.approx(1.6)


def test_the_fifth_exit_in_a_row_makes_a_crash_loop_until_it_is_ready():
    care = Supervision()
    phases = []
    for _ in range(LOOPING_EXITS):
        crash(care, now=0.0)
        phases.append(care.phase(alive=False))

    assert phases == [ReplicaPhase.CRASHED] * 4 + [ReplicaPhase.CRASH_LOOPING]
    care.started()
    assert care.phase(alive=True) is ReplicaPhase.CRASH_LOOPING
    care.answered(1.0)
    assert care.phase(alive=True) is ReplicaPhase.READY


def test_one_missed_check_is_forgiven_and_two_are_not():
    care = Supervision()
    care.started()
    care.answered(0.0)

    care.missed(1.0, "does not answer", silent=True)
    assert care.phase(alive=True) is ReplicaPhase.READY
    care.missed(2.0, "does not answer", silent=True)
    assert care.phase(alive=True) is ReplicaPhase.UNRESPONSIVE


def test_a_long_silence_is_stuck_but_a_long_refusal_is_not():
    silent, refusing = Supervision(), Supervision()
    for care in (silent, refusing):
        care.started()
        care.answered(0.0)
    for now in (1.0, 1.0 + PATIENCE):
        silent.missed(now, "does not answer", silent=True)
        refusing.missed(now, "readiness says 503", silent=False)

    assert silent.stuck(1.0 + PATIENCE)
    assert not silent.stuck(PATIENCE)
    assert not refusing.stuck(1.0 + PATIENCE)


def test_a_server_that_still_starts_is_never_stuck():
    care = Supervision()
    care.started()
    care.missed(0.0, "does not answer", silent=True)

    assert not care.stuck(1000.0)


def test_an_unfit_package_is_not_started_again():
    care = Supervision()
    care.started()
    care.exited(0.0, "unfit", hopeless=True)

    assert not care.may_start(1e9)
    assert care.phase(alive=False) is ReplicaPhase.CRASH_LOOPING
