import csv
import os
from datetime import date, time
from pathlib import Path

import pytest

from trading.calendar import Calendar, ist
from trading.calendar_file import read_calendar
from trading.errors import BadCalendar

NSE_FILE = Path(__file__).parents[2] / "db" / "nse_calendar.csv"
HEAD = (
    "# exchange: NSE\n# coverage: 2024-10-28..2024-11-10\n# regular: 09:15-15:30\nday,kind,opens,closes,name,source\n"
)


@pytest.fixture(scope="module")
def nse() -> Calendar:
    return read_calendar(NSE_FILE.read_text(encoding="utf-8"))


def test_weekdays_trade_the_regular_hours_save_as_the_rows_say() -> None:
    rows = "2024-11-01,special,18:00,19:00,Muhurat,NSE\n2024-11-05,holiday,,,Made up,test\n\n# a remark\n"
    calendar = read_calendar(HEAD + rows)
    sessions = calendar.sessions_between(calendar.first, calendar.last)
    assert [session.day.day for session in sessions] == [28, 29, 30, 31, 1, 4, 6, 7, 8]
    assert sessions[0].opens == ist(date(2024, 10, 28), time(9, 15))
    assert (sessions[4].kind, sessions[4].closes) == ("special", ist(date(2024, 11, 1), time(19, 0)))
    assert calendar.exchange == "NSE"


def test_a_weekend_day_may_have_a_special_session() -> None:
    assert read_calendar(HEAD + "2024-11-09,special,09:15,12:30,Drill,NSE\n").is_session(date(2024, 11, 9))


BROKEN_ROWS = [
    ("2024-13-01,holiday,,,a,b", "not a day: '2024-13-01'"),
    ("2024-11-04,holiday,,,a,b\n2024-11-04,special,09:15,10:00,a,b", "is there twice"),
    ("2025-01-01,holiday,,,a,b", "outside the coverage"),
    ("2024-11-09,holiday,,,a,b", "is a weekend day"),
    ("2024-11-04,holiday,09:15,15:30,a,b", "has hours"),
    ("2024-11-04,special,,,a,b", "not a time"),
    ("2024-11-04,special,25:00,26:00,a,b", "not a time"),
    ("2024-11-04,special,19:00,18:00,a,b", "write the earlier IST time first"),
    ("2024-11-04,festival,,,a,b", "kind 'festival' is not known"),
    ("2024-11-04,holiday,,,,b", "no name or no source"),
    ("2024-11-04,holiday", "2 cells instead of 6"),
]


@pytest.mark.parametrize(("rows", "problem"), BROKEN_ROWS)
def test_a_broken_row_is_refused_with_its_line(rows: str, problem: str) -> None:
    with pytest.raises(BadCalendar, match=problem) as caught:
        read_calendar(HEAD + rows + "\n")
    assert caught.value.line == 4 + len(rows.splitlines())


BROKEN_HEADS = [
    ("", "exchange is missing", 0),
    (HEAD.replace("# regular: 09:15-15:30\n", ""), "regular is missing", 0),
    (HEAD.replace("..", " to "), "coverage cannot be read", 2),
    (HEAD.replace("2024-10-28", "2025-10-28"), "ends before it begins", 0),
    (HEAD.replace("opens,", ""), "column titles", 4),
    (HEAD.partition("day,")[0], "column titles", 0),
]


@pytest.mark.parametrize(("text", "problem", "line"), BROKEN_HEADS)
def test_a_broken_head_is_refused(text: str, problem: str, line: int) -> None:
    with pytest.raises(BadCalendar, match=problem) as caught:
        read_calendar(text)
    assert caught.value.line == line


WEEKDAY_HOLIDAYS = {2015: 14, 2016: 15, 2017: 12, 2018: 15, 2019: 17, 2020: 12, 2021: 13, 2022: 12, 2023: 15}
WEEKDAY_HOLIDAYS |= {2024: 16, 2025: 13, 2026: 16}


@pytest.mark.parametrize(("year", "holidays"), WEEKDAY_HOLIDAYS.items())
def test_the_nse_file_has_every_holiday_of_a_year(nse: Calendar, year: int, holidays: int) -> None:
    days = [date.fromordinal(n) for n in range(date(year, 1, 1).toordinal(), date(year + 1, 1, 1).toordinal())]
    assert sum(day.weekday() < 5 and not nse.is_session(day) for day in days) == holidays


MUHURAT = {
    date(2015, 11, 11): "17:45", date(2016, 10, 30): "18:30", date(2017, 10, 19): "18:30", date(2018, 11, 7): "17:30",
    date(2019, 10, 27): "18:15", date(2020, 11, 14): "18:15", date(2021, 11, 4): "18:15", date(2022, 10, 24): "18:15",
    date(2023, 11, 12): "18:15", date(2024, 11, 1): "18:00", date(2025, 10, 21): "13:45", date(2026, 11, 8): "18:00",
}  # fmt: skip


@pytest.mark.parametrize(("day", "opens"), MUHURAT.items(), ids=str)
def test_the_nse_file_has_the_muhurat_session_of_every_year(nse: Calendar, day: date, opens: str) -> None:
    session = nse.session(day)
    assert session is not None
    assert session.kind == "special"
    assert session.opens == ist(day, time.fromisoformat(opens))


def test_the_nse_file_knows_weekend_sessions_and_the_election_holiday_of_2026(nse: Calendar) -> None:
    weekends = ("2015-02-28", "2020-02-01", "2024-01-20", "2024-03-02", "2024-05-18", "2025-02-01", "2026-02-01")
    assert all(nse.is_session(date.fromisoformat(day)) for day in weekends)
    assert not nse.is_session(date(2026, 1, 15))
    assert (nse.first, nse.last) == (date(2015, 1, 1), date(2026, 12, 31))


def _sample_days() -> set[date]:
    root = os.environ.get("MUHURAT_SAMPLE_DATA")
    if not root:
        needed = "data" in os.environ.get("MUHURAT_REQUIRE", "").split(",")
        (pytest.fail if needed else pytest.skip)("MUHURAT_SAMPLE_DATA is not set")
    days = set()
    for path in sorted(Path(root, "nifty50").glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            days |= {date.fromisoformat(row["date"]) for row in csv.DictReader(file)}
    return days


def test_the_nse_file_agrees_with_every_bar_of_the_sample(nse: Calendar) -> None:
    bars = _sample_days()
    sessions = {session.day for session in nse.sessions_between(min(bars), max(bars))}
    assert bars - sessions == set(), "bars on days without a session"
    assert sessions - bars == set(), "sessions without a bar"
