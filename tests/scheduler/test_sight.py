"""A scheduler that was blind itself judges nobody for one lease."""

import pytest

from scheduler.sight import Sight


class Clock:
    """A machine's clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sight(clock: Clock) -> Sight:
    return Sight(lease_seconds=6.0, gap_seconds=4.0, clock=clock)


def see_for(sight: Sight, clock: Clock, seconds: int) -> None:
    for _ in range(seconds):
        clock.now += 1.0
        sight.seen()


def test_who_has_seen_nothing_yet_is_patient_for_one_lease(sight: Sight, clock: Clock) -> None:
    assert sight.patient
    sight.seen()
    see_for(sight, clock, 5)
    assert sight.patient
    see_for(sight, clock, 1)
    assert not sight.patient


def test_after_a_gap_it_is_patient_again(sight: Sight, clock: Clock) -> None:
    see_for(sight, clock, 10)
    clock.now += 4.1
    sight.seen()
    assert sight.patient
    see_for(sight, clock, 6)
    assert not sight.patient


def test_a_shorter_pause_is_no_gap(sight: Sight, clock: Clock) -> None:
    see_for(sight, clock, 10)
    clock.now += 4.0
    sight.seen()
    assert not sight.patient
