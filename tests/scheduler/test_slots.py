"""What becomes of due schedules, whenever somebody looks."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from scheduler.slots import choose
from tests.trading.season import CALENDAR, at
from trading.definitions import definition_of
from trading.firings import slots

# A fortnight with a holiday in it.
BEGIN, END = at(9, 7), at(9, 21)
TRIGGERS = (
    "open+15m",
    "every 1h from open+15m until close",
    "daily at 02:00",
    "every 90m since 2026-01-01T09:00+05:30",
)


@dataclass(slots=True)
class Row:
    """A schedule's row as far as it is looked at here."""

    trigger: str
    next_due_at: datetime
    market_now: datetime
    catch_up: str = "all"
    useful_seconds: int | None = 86_400 * 365
    max_runs: int | None = None
    runs: int = 0
    name: str = "one"
    task_name: str = "position_monitor"
    scope: str = "account"
    condition: str | None = None
    exchange: str = "NSE"
    grace_seconds: int | None = None
    overlap: str = "allow"
    jitter_seconds: int = 0
    spread_seconds: int = 0
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    held_until: datetime | None = None


def fired(row: Row, looks: list[datetime]) -> tuple[list[datetime], int]:
    """Look at a schedule at these moments as schedulers do. Returns the slots it fires, and how many it passes over."""
    found, passed = [], 0
    for row.market_now in looks:
        while row.next_due_at <= row.market_now:
            choice = choose(row, CALENDAR, False)
            found.append(choice.slot)
            passed += choice.passed
            row.runs += 1
            row.next_due_at = choice.next or END + timedelta(days=1)  # never
    return found, passed


def planned(row: Row) -> list[datetime]:
    return list(slots(definition_of(row), CALENDAR, BEGIN, END))


looks = st.lists(st.timedeltas(timedelta(), END - BEGIN).map(lambda since: BEGIN + since), max_size=12)


@given(trigger=st.sampled_from(TRIGGERS), moments=looks)
def test_whenever_schedulers_look_each_slot_fires_once(trigger: str, moments: list[datetime]) -> None:
    row = Row(trigger, BEGIN, BEGIN)
    every = planned(row)
    row.next_due_at = every[0]
    assert fired(row, [*sorted(moments), END])[0] == every


@given(trigger=st.sampled_from(TRIGGERS), moments=looks)
def test_what_catches_up_the_last_slot_fires_or_passes_each_of_them(trigger: str, moments: list[datetime]) -> None:
    row = Row(trigger, BEGIN, BEGIN, catch_up="last")
    every = planned(row)
    row.next_due_at = every[0]
    found, passed = fired(row, [*sorted(moments), END])
    assert len(found) + passed == len(every)
    assert found[-1] == every[-1]


@given(trigger=st.sampled_from(TRIGGERS), runs=st.integers(1, 5))
def test_after_its_runs_a_schedule_is_never_due(trigger: str, runs: int) -> None:
    row = Row(trigger, BEGIN, BEGIN, max_runs=runs)
    every = planned(row)
    row.next_due_at = every[0]
    assert fired(row, [END])[0] == every[:runs]
