"""The room of a process: shared by all its queues, and had whole by one of them at a time."""

from worker.room import Room


def test_what_is_taken_comes_back_with_what_is_given() -> None:
    room = Room(4)
    assert room.take(0) == 4
    assert room.take(0) == 0
    room.give(3)
    assert room.take(0) == 3


def test_the_whole_room_is_had_only_when_nothing_runs_and_nobody_takes_meanwhile() -> None:
    room, taker, other = Room(2), object(), object()
    assert room.take(0) == 2
    assert not room.take_whole(taker, 0)
    room.give(1)
    assert room.take(0) == 0
    assert not room.take_whole(other, 0)
    room.give(1)
    assert room.take_whole(taker, 0)
    assert room.take(0) == 0
    room.give_whole()
    assert room.take(0) == 2


def test_others_take_again_when_the_whole_room_is_not_waited_for_any_longer() -> None:
    room, taker = Room(2), object()
    room.take(0)
    assert not room.take_whole(taker, 0)
    room.give(1)
    room.forgo(object())
    assert room.take(0) == 0
    room.forgo(taker)
    assert room.take(0) == 1
