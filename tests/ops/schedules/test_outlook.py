"""What fires is told beforehand, and of what does not fire why."""

from datetime import date, datetime, time, timedelta
from itertools import islice

import pytest

from ops.schedules.closed import Silence, silences
from ops.schedules.differences import compare
from ops.schedules.outlook import Halting, Outcome, Part, Watched, outlook
from trading.calendar import Calendar, Session, ist
from trading.definitions import Definition, read_definition

MONDAY = date(2024, 1, 22)
# Monday to Thursday; Friday is a holiday, Saturday has a session.
_DAYS = [MONDAY + timedelta(days=number) for number in (0, 1, 2, 3, 5)]
CALENDAR = Calendar(
    "NSE",
    [Session(day, ist(day, time(9, 15)), ist(day, time(15, 30))) for day in _DAYS],
    MONDAY - timedelta(days=1),
    MONDAY + timedelta(days=9),
)
FIRST, LAST = ist(MONDAY, time()), ist(MONDAY + timedelta(days=9), time(23, 59))
NAMES = {MONDAY + timedelta(days=4): "Republic Day"}
ALWAYS = Part(7)


def schedule(trigger: str = "at 16:05", **columns: object) -> Definition:
    return read_definition({"name": trigger, "task_name": "buy_orders", "trigger": trigger, **columns})


def outcomes(one: Watched) -> list[tuple[int, Outcome, str | None]]:
    return [(coming.slot.day, coming.outcome, coming.why) for coming in outlook([one], CALENDAR, FIRST, LAST)]


def test_slots_of_several_schedules_come_in_order() -> None:
    watched = [Watched(schedule(text)) for text in ("at 16:05", "open", "every 1h from open+15m until close")]
    slots = [coming.slot for coming in outlook(watched, CALENDAR, FIRST, LAST)]
    assert slots == sorted(slots)
    assert len(slots) == 5 * (1 + 1 + 6)


def test_the_next_of_what_never_ends_are_had_one_by_one() -> None:
    daily = Watched(schedule("daily at 02:00"))
    assert len(list(islice(outlook([daily], CALENDAR, FIRST, LAST + timedelta(days=9000)), 3))) == 3


def test_a_slot_makes_executions_for_the_accounts_that_are_on() -> None:
    one = Watched(schedule(), parts=(Part(1), Part(2, enabled=False), Part(3, forever=True)))
    coming = next(outlook([one], CALENDAR, FIRST, LAST))
    assert (coming.outcome, coming.accounts, coming.why) == (Outcome.FIRES, (1,), "without account 3")


def test_a_pause_ends_with_the_slot_at_its_end() -> None:
    ends = ist(_DAYS[1], time(16, 5))
    one = Watched(schedule(), parts=(Part(1, paused_until=ends, why="away"),))
    told = outcomes(one)
    assert [outcome for _, outcome, _ in told] == [Outcome.PAUSED, *[Outcome.FIRES] * 4]
    assert told[0][2] == "paused until 2024-01-23 16:05 IST: away"


def test_a_stopped_service_is_the_reason_but_for_live_orders() -> None:
    stopped = Watched(schedule(), parts=(ALWAYS,), stopped="the service is stopped")
    assert {(outcome, why) for _, outcome, why in outcomes(stopped)} == {(Outcome.STOPPED, "the service is stopped")}
    looked_after = Watched(schedule(), parts=(ALWAYS,), stopped="the service is stopped", passes=frozenset({7}))
    assert {outcome for _, outcome, _ in outcomes(looked_after)} == {Outcome.FIRES}


@pytest.mark.parametrize(
    ("halt", "days"),
    [
        (Halting("halt 1"), 5),
        (Halting("halt 1", task_name="buy_orders"), 5),
        (Halting("halt 1", task_name="order_sync"), 0),
        (Halting("halt 1", account_id=7), 5),
        (Halting("halt 1", account_id=8), 0),
        (Halting("halt 1", until=ist(_DAYS[2], time(9))), 2),
    ],
)
def test_a_halt_holds_back_what_it_is_for_until_it_ends(halt: Halting, days: int) -> None:
    told = outcomes(Watched(schedule(), parts=(ALWAYS,), halts=[halt]))
    assert [outcome for _, outcome, _ in told] == [Outcome.HALTED] * days + [Outcome.FIRES] * (5 - days)


def test_a_schedule_that_is_off_fires_for_nobody() -> None:
    assert {outcome for _, outcome, _ in outcomes(Watched(schedule(), enabled=False))} == {Outcome.OFF}
    assert {why for _, _, why in outcomes(Watched(schedule(), parts=(Part(1, enabled=False),)))} == {
        "the user switched it off"
    }


def test_runs_that_are_used_up_are_not_told_again() -> None:
    assert len(outcomes(Watched(schedule(max_runs=3), runs=1))) == 2


def test_silent_days_have_their_reasons_and_neighbours_are_one() -> None:
    found = silences([schedule(), schedule("open")], CALENDAR, NAMES, FIRST, LAST + timedelta(days=20))
    friday, sunday = MONDAY + timedelta(days=4), MONDAY + timedelta(days=6)
    assert found[0] == Silence(friday, friday, "holiday: Republic Day")
    assert found[1] == Silence(sunday, sunday, "weekend")
    assert found[-1].reason.startswith("the calendar ends 2024-01-31")


def test_what_is_silent_alone_is_named() -> None:
    found = silences([schedule("at 16:05"), schedule("daily at 02:00")], CALENDAR, NAMES, FIRST, LAST)
    assert all(one.schedules == () for one in found)
    ended = schedule("open", ends_at=datetime.fromisoformat("2024-01-23T23:00+05:30"))
    alone = [one for one in silences([schedule(), ended], CALENDAR, NAMES, FIRST, LAST) if one.schedules == ("open",)]
    assert [one.reason for one in alone] == ["it ended 2024-01-23 23:00 IST"]


def test_what_goes_and_comes_on_one_day_is_a_move() -> None:
    found = compare(schedule("at 16:05"), schedule("at 16:30"), CALENDAR, FIRST, LAST)
    assert (found.count("moves"), found.count("comes"), found.count("goes"), found.same) == (5, 0, 0, 0)


def test_only_what_is_different_is_told() -> None:
    rare, often = schedule("every 5m while open"), schedule("every 60s while open")
    found = compare(rare, often, CALENDAR, FIRST, LAST)
    assert (found.count("comes"), found.count("goes"), found.same) == (5 * 300, 0, 5 * 75)
    back = compare(often, rare, CALENDAR, FIRST, LAST)
    assert (back.count("goes"), back.same) == (5 * 300, 5 * 75)
    assert not compare(rare, rare, CALENDAR, FIRST, LAST).differences


def test_two_schedules_of_a_task_at_one_moment_make_one_execution() -> None:
    both = [Watched(schedule("open"), parts=(ALWAYS,)), Watched(schedule("at 09:15"), parts=(ALWAYS, Part(8)))]
    told = [coming for coming in outlook(both, CALENDAR, FIRST, LAST) if coming.slot.day == MONDAY.day]
    assert [(one.schedule, one.outcome, one.accounts) for one in told] == [
        ("open", Outcome.FIRES, (7,)),
        ("at 09:15", Outcome.FIRES, (8,)),
    ]
    alike = [Watched(schedule("open"), parts=(ALWAYS,)), Watched(schedule("at 09:15"), parts=(ALWAYS,))]
    told = [coming for coming in outlook(alike, CALENDAR, FIRST, LAST) if coming.slot.day == MONDAY.day]
    assert [one.outcome for one in told] == [Outcome.FIRES, Outcome.SAME]
