"""NSE's file against `exchange_calendars`: wherever the two differ, a row here says which day it is and why."""

import warnings
from collections.abc import Iterator
from datetime import UTC, date, datetime
from importlib.resources import files

import exchange_calendars
import pytest

from trading.calendar import Calendar, ist
from trading.calendar_file import read_calendar

_EVENING = "an evening session on a holiday or a Sunday: it has full days only"
_SATURDAY = "it has this Saturday among its special sessions, which it loses under pandas 3"
_WEEKEND = "a weekend session, announced after its list was made"

# Days that we have a session on and the other calendar has none. It has no session that we have not.
ONLY_OURS = {
    date(2015, 2, 28): _WEEKEND + ": the Union budget",
    date(2015, 11, 11): _EVENING, date(2016, 10, 30): _EVENING, date(2017, 10, 19): _EVENING,
    date(2018, 11, 7): _EVENING, date(2019, 10, 27): _EVENING,
    date(2020, 2, 1): _WEEKEND + ": the Union budget",
    date(2020, 11, 14): _EVENING, date(2021, 11, 4): _EVENING, date(2022, 10, 24): _EVENING,
    date(2023, 11, 12): _EVENING,
    date(2024, 1, 20): _SATURDAY + "; a full session before the holiday of the 22nd",
    date(2024, 3, 2): _WEEKEND + ": a disaster recovery drill",
    date(2024, 5, 18): _WEEKEND + ": a disaster recovery drill",
    date(2024, 11, 1): _EVENING,
    date(2025, 2, 1): _SATURDAY + "; the Union budget",
    date(2025, 10, 21): "an afternoon Muhurat session on a holiday: it has full days only",
    date(2026, 2, 1): _WEEKEND + ": the Union budget, on a Sunday",
    date(2026, 11, 8): _EVENING,
}  # fmt: skip
# Days that both have, at other hours: ours, and why.
OTHER_HOURS = {
    date(2021, 2, 24): ("09:15", "17:00", "NSE went on until 17:00 after its outage; BSE, its list, did not")
}


@pytest.fixture(scope="module")
def ours() -> Calendar:
    return read_calendar((files("db") / "nse_calendar.csv").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def theirs(ours: Calendar) -> dict[date, tuple[datetime, datetime]]:
    """BSE's sessions of the days that we cover; it keeps NSE's holidays, which the package does not have."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it asks pandas 3 for what pandas 4 will answer otherwise
        other = exchange_calendars.get_calendar("XBOM", start=ours.first.isoformat(), end=ours.last.isoformat())
        return dict(_hours(other))


def _hours(other: exchange_calendars.ExchangeCalendar) -> Iterator[tuple[date, tuple[datetime, datetime]]]:
    for row in other.schedule.itertuples():
        yield row.Index.date(), (row.open.to_pydatetime(), row.close.to_pydatetime())


def test_every_session_that_only_one_of_the_two_has_is_explained(
    ours: Calendar, theirs: dict[date, tuple[datetime, datetime]]
) -> None:
    days = {session.day for session in ours.sessions_between(ours.first, ours.last)}
    assert theirs.keys() - days == set()
    assert days - theirs.keys() == ONLY_OURS.keys()


def test_every_session_of_other_hours_is_explained(
    ours: Calendar, theirs: dict[date, tuple[datetime, datetime]]
) -> None:
    sessions = [one for one in ours.sessions_between(ours.first, ours.last) if one.day in theirs]
    differ = {one.day: (one.opens, one.closes) for one in sessions if (one.opens, one.closes) != theirs[one.day]}
    assert differ == {
        day: tuple(ist(day, datetime.strptime(clock, "%H:%M").replace(tzinfo=UTC).time()) for clock in hours[:2])
        for day, hours in OTHER_HOURS.items()
    }


def test_what_only_we_have_is_special_in_our_file(ours: Calendar) -> None:
    kinds = {day: session.kind for day in ONLY_OURS if (session := ours.session(day)) is not None}
    assert kinds == dict.fromkeys(ONLY_OURS, "special")


def test_the_other_calendar_ends_where_ours_does(ours: Calendar) -> None:
    with pytest.raises(ValueError, match="2026"):
        exchange_calendars.get_calendar("XBOM", start="2026-01-01", end=f"{ours.last.year + 1}-12-31")
