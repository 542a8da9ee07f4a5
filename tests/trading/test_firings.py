from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trading.season import BEGIN, CALENDAR, END, at
from tests.trading.test_trigger_laws import instants, triggers
from trading.calendar import exchange_time
from trading.definitions import CATCH_UPS, Definition, read_definition
from trading.firings import Firing, firings, late_reason, next_slot, slots
from trading.triggers import due_between, parse_trigger


def of(trigger: str, **columns: object) -> Definition:
    return read_definition({"name": "one", "task_name": "order_sync", "trigger": trigger} | columns)


def shown(found: list[Firing]) -> list[str]:
    """Return firings as day, clock and outcome."""
    return [f"{exchange_time(one.slot):%d %H:%M} {one.outcome}" for one in found]


def test_without_policies_each_moment_of_the_trigger_fires() -> None:
    found = list(firings(of("open"), CALENDAR, at(9, 11), at(9, 16)))
    assert shown(found) == ["11 09:15 fires", "15 09:15 fires"]
    assert all(one.reason == "" for one in found)


def test_slots_lie_from_start_to_end_and_both_belong_to_it() -> None:
    one = of("open", starts_at=at(9, 2, 9, 15), ends_at=at(9, 4, 9, 15))
    assert shown(list(firings(one, CALENDAR, BEGIN, END))) == ["02 09:15 fires", "03 09:15 fires", "04 09:15 fires"]


def test_after_its_runs_a_schedule_is_silent() -> None:
    found = list(firings(of("open", max_runs=3), CALENDAR, at(9, 1), END, runs=1))
    assert shown(found) == ["01 09:15 fires", "02 09:15 fires"]
    assert list(firings(of("open", max_runs=3), CALENDAR, at(9, 1), END, runs=3)) == []


BACKLOG = [
    ("all", {}, "01 02 03"), ("last", {}, "03"), ("none", {}, ""), ("none", {"grace_seconds": 3600}, "03"),
    ("all", {"grace_seconds": 3600}, "03"), ("all", {"grace_seconds": 86_400}, "03"), ("all", {"grace_seconds": 90_000}, "02 03"),
    ("last", {"grace_seconds": 60}, ""), ("all", {"useful_seconds": 90_000}, "02 03"), ("last", {"useful_seconds": 60}, ""),
    ("all", {"max_runs": 2}, "01 02"),
]  # fmt: skip


@pytest.mark.parametrize(("catch_up", "columns", "fires"), BACKLOG)
def test_of_what_was_missed_fires_what_the_policies_say(catch_up: str, columns: dict[str, object], fires: str) -> None:
    seen_at = at(9, 3, 9, 45)
    found = list(firings(of("open", catch_up=catch_up, **columns), CALENDAR, at(9, 1), seen_at, seen_at=seen_at))
    assert [f"{one.slot:%d}" for one in found if one.outcome == "fires"] == fires.split()
    assert all(one.reason for one in found if one.outcome == "skipped")


def test_what_is_seen_in_time_and_what_is_still_to_come_fires() -> None:
    seen_at = at(9, 2, 9, 15) + timedelta(seconds=59)
    found = list(firings(of("open", catch_up="none"), CALENDAR, at(9, 1), at(9, 5), seen_at=seen_at))
    assert shown(found) == ["01 09:15 skipped", "02 09:15 fires", "03 09:15 fires", "04 09:15 fires"]
    assert found[0].reason == "a later slot was due too"


def test_a_plans_use_ends_a_firing_that_has_no_use_of_its_own() -> None:
    hour = timedelta(hours=1)
    seen_at = at(9, 1, 9, 15) + 2 * hour
    span = at(9, 1), seen_at
    (planned,) = firings(of("open"), CALENDAR, *span, seen_at=seen_at, useful_until=lambda slot: slot + hour)
    assert (planned.outcome, planned.reason) == ("skipped", "missed: no scheduler ran until 2026-09-01 05:45 UTC")
    own = of("open", useful_seconds=3 * 3600)
    assert shown(list(firings(own, CALENDAR, *span, seen_at=seen_at, useful_until=lambda slot: slot + hour))) == [
        "01 09:15 fires"
    ]


def test_a_reason_names_the_grace_and_when_it_was() -> None:
    slot = at(9, 1, 9, 15)
    assert late_reason(of("open", grace_seconds=60), slot, slot + timedelta(seconds=60)) is None
    reason = late_reason(of("open", grace_seconds=60), slot, slot + timedelta(seconds=61))
    assert reason == "late: it could begin 60 s after its slot, and it was 2026-09-01 03:46:01 UTC"


def test_the_next_slot_is_the_first_that_fires() -> None:
    one = of("open", starts_at=at(9, 2, 12), ends_at=at(9, 4, 12), max_runs=2)
    assert next_slot(one, CALENDAR, BEGIN) == at(9, 3, 9, 15)
    assert next_slot(one, CALENDAR, at(9, 3, 9, 15), runs=1) == at(9, 4, 9, 15)
    assert next_slot(one, CALENDAR, at(9, 3, 9, 15), runs=2) is None
    assert next_slot(one, CALENDAR, at(9, 4, 9, 15)) is None
    assert next_slot(of("open"), CALENDAR, END) is None


cuts = st.lists(st.integers(0, 30 * 86_400), min_size=2, max_size=5)
limits = st.none() | instants


@given(triggers, instants, cuts, limits, limits, st.booleans())
def test_no_split_of_a_window_misses_or_doubles_a_slot(
    trigger: object, begin: datetime, cuts: list[int], starts: datetime | None, ends: datetime | None, daily_bars: bool
) -> None:
    one = of(str(trigger), starts_at=starts, ends_at=ends)
    edges = [min(begin + timedelta(seconds=cut), END - timedelta(seconds=1)) for cut in sorted(cuts)]
    parts = [list(firings(one, CALENDAR, *span, daily_bars)) for span in pairwise(edges)]
    assert [firing for part in parts for firing in part] == list(
        firings(one, CALENDAR, edges[0], edges[-1], daily_bars)
    )


@given(triggers, instants, st.integers(0, 20 * 86_400), st.sampled_from(CATCH_UPS), st.none() | st.integers(0, 90_000))
def test_a_look_at_a_backlog_tells_of_every_slot_once_and_fires_no_more_than_a_look_in_time(
    trigger: object, after: datetime, seconds: int, catch_up: str, grace: int | None
) -> None:
    one = of(str(trigger), catch_up=catch_up, grace_seconds=grace)
    seen_at = min(after + timedelta(seconds=seconds), END - timedelta(seconds=1))
    found = list(firings(one, CALENDAR, after, seen_at, seen_at=seen_at))
    assert [firing.slot for firing in found] == list(
        due_between(one.trigger, CALENDAR, after, seen_at, daily_bars=False)
    )
    fires = [firing.slot for firing in found if firing.outcome == "fires"]
    if catch_up != "all":
        assert fires in ([], [firing.slot for firing in found[-1:]])
    if grace is not None:
        assert all(seen_at - slot <= timedelta(seconds=grace) for slot in fires)


@given(triggers, instants, st.integers(1, 20))
def test_what_live_fires_slot_by_slot_is_what_a_preview_told(trigger: object, after: datetime, count: int) -> None:
    one = of(str(trigger), max_runs=count)
    preview = [firing.slot for firing in firings(one, CALENDAR, after, after + timedelta(days=3))]
    live: list[datetime] = []
    at_ = next(slots(one, CALENDAR, after, after + timedelta(days=3)), None)
    while at_ is not None and len(live) < count:
        (firing,) = firings(one, CALENDAR, at_ - timedelta(microseconds=1), at_, runs=len(live), seen_at=at_)
        live += [firing.slot] if firing.outcome == "fires" else []
        at_ = next(slots(one, CALENDAR, at_, after + timedelta(days=3)), None)
    assert live == preview


def test_a_definition_may_stand_on_any_trigger() -> None:
    assert parse_trigger("close on last session of month") == of("close on last session of month").trigger
