"""The room of a process: shared by all its queues, ahead for quick ones alone, and had whole by one at a time."""

import pytest

from worker.room import LARGEST_BATCH, LONG_SECONDS, Room

QUICK = 0.001


def filled(places: int = 4, seconds: float | None = None) -> Room:
    """Return a room whose queue `a` has just run an execution of so many seconds."""
    room = Room(places)
    if seconds is not None:
        room.take("a", 0)
        room.give("a", places, places * seconds)
    return room


def test_what_is_taken_comes_back_with_what_is_given() -> None:
    room = Room(4)
    assert room.take("a", 0) == 4
    assert room.take("a", 0) == 0
    room.give("a", 3)
    assert room.take("a", 0) == 3
    assert room.held == 4


def test_nothing_is_taken_ahead_of_a_queue_nobody_knows() -> None:
    assert Room(4).take("a", 0) == 4


def test_of_quick_executions_a_tenth_of_a_second_is_taken_ahead_and_of_long_ones_none() -> None:
    assert filled(seconds=QUICK).take("a", 0) == 4 + 400
    assert filled(seconds=0.01).take("a", 0) == 4 + 40
    assert filled(seconds=2 * LONG_SECONDS).take("a", 0) == 4
    assert filled(seconds=0.0).take("a", 0) == LARGEST_BATCH


def test_a_queue_whose_executions_become_long_is_no_longer_taken_ahead() -> None:
    room = filled(seconds=QUICK)
    taken = room.take("a", 0)
    room.give("a", taken, taken * 1.0)
    assert room.take("a", 0) == 4


def test_long_executions_of_one_queue_leave_no_room_to_another_that_would_stand_behind_them() -> None:
    room = Room(4)
    assert room.take("long", 0) == 4
    assert room.take("other", 0) == 0
    room.give("long", 1, 1.0)
    assert room.take("other", 0) == 1


def test_a_queue_that_is_taken_ahead_leaves_the_others_their_places() -> None:
    room = filled(seconds=QUICK)
    room.take("a", 0)
    assert room.take("other", 0) == 4


def test_ahead_it_is_taken_by_batches_and_not_one_by_one() -> None:
    room = filled(seconds=QUICK)
    taken = room.take("a", 0)
    room.give("a", 1, QUICK)
    assert room.take("a", 0) == 0
    room.give("a", taken // 2, taken // 2 * QUICK)
    assert room.take("a", 0) > 1


def test_what_was_not_won_or_never_began_says_nothing_about_how_long_it_takes() -> None:
    room = filled(seconds=QUICK)
    room.give("a", room.take("a", 0))
    assert room.take("a", 0) == 4 + 400


def test_a_queue_that_disappointed_is_taken_ahead_again_once_it_is_quick() -> None:
    room = filled(seconds=QUICK)
    room.distrust("a")
    assert room.take("a", 0) == 4
    room.give("a", 4, 4 * QUICK)
    assert room.take("a", 0) == 4 + 400


@pytest.mark.parametrize("places", [1, 2])
def test_the_whole_room_is_had_only_when_nothing_runs_and_nobody_takes_meanwhile(places: int) -> None:
    room, taker, other = Room(places), object(), object()
    assert room.take("a", 0) == places
    assert not room.take_whole(taker, "a", 0)
    assert room.take("a", 0) == 0
    assert not room.take_whole(other, "b", 0)
    room.give("a", places)
    assert room.take("b", 0) == 0
    assert room.take_whole(taker, "a", 0)
    assert room.take("b", 0) == 0
    room.give_whole("a")
    assert room.take("b", 0) == places


def test_others_take_again_when_the_whole_room_is_not_waited_for_any_longer() -> None:
    room, taker = Room(2), object()
    room.take("a", 0)
    assert not room.take_whole(taker, "a", 0)
    room.give("a", 1)
    room.forgo(object())
    assert room.take("a", 0) == 0
    room.forgo(taker)
    assert room.take("a", 0) == 1


def test_nobody_takes_of_a_room_that_is_closed_neither_a_part_nor_all() -> None:
    room = Room(2)
    room.close()
    assert room.take("a", 0) == 0
    assert not room.take_whole(object(), "a", 0)
