"""What a calendar file says of itself: hours with their validity; whatever does not fit is refused with its cure."""

from datetime import date, time
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.calendar import Calendar
from trading.calendar_check import phase_fault, validity_fault
from trading.calendar_file import has_phases, read_calendar
from trading.errors import BadCalendar
from trading.phases import Hours, Phase

NSE = (files("db") / "nse_calendar.csv").read_text(encoding="utf-8")
TITLES = "day,kind,opens,closes,name,source\n"
REGULAR = "# hours: continuous all 09:15-15:30 from 2024-10-28 source NSE\n"
HEAD = "# exchange: NSE\n# coverage: 2024-10-28..2024-11-10\n"
EVENING = "2024-11-01,special,18:00,19:00,Muhurat,NSE\n"


def _read(hours: str, rows: str = "", head: str = HEAD) -> tuple[Hours, ...]:
    return read_calendar(head + hours + TITLES + rows).timetable.hours


def test_hours_are_read_with_segment_validity_and_source() -> None:
    lines = "# hours: pre-open all 09:00-09:15 from 2010-10-18 to 2024-11-05 source NSE, market timings\n"
    assert _read(REGULAR + lines)[0] == Hours(
        Phase.PREOPEN, "all", time(9), time(9, 15), date(2010, 10, 18), date(2024, 11, 5), "NSE, market timings"
    )


def test_hours_are_written_as_they_are_read() -> None:
    lines = (
        "# hours: pre-open all 17:45-17:55 on 2024-11-01 source the circular\n"
        + REGULAR
        + "# hours: continuous fno 09:15-15:15 from 2024-11-04 source NSE\n"
        "# hours: closing-auction fno 15:15-15:35 from 2024-11-04 source NSE\n"
        "# hours: post-close all 15:40-16:00 from 2024-10-28 to 2024-11-03 source NSE\n"
        "# hours: post-close all 15:50-16:00 from 2024-11-04 source NSE\n"
        "# hours: amo all 15:45-08:57 from 2024-10-28 source a broker\n"
    )
    assert "".join(f"# hours: {one}\n" for one in _read(lines, EVENING)) == lines


def test_regular_sessions_take_the_hours_of_their_day() -> None:
    lines = (
        "# hours: continuous all 09:15-15:30 from 2024-10-28 to 2024-11-03 source NSE\n"
        "# hours: continuous all 09:00-15:00 from 2024-11-04 source NSE\n"
    )
    calendar = read_calendar(HEAD + lines + TITLES)
    opens = [
        calendar.window(one, Phase.OPEN) for one in calendar.sessions_between(date(2024, 11, 1), date(2024, 11, 4))
    ]
    assert [window[0].isoformat()[11:16] for window in opens if window] == ["03:45", "03:30"]


def test_an_older_file_has_regular_hours_alone() -> None:
    text = HEAD + "# regular: 09:15-15:30\n" + TITLES
    assert not has_phases(text)
    assert has_phases(HEAD + REGULAR + TITLES)
    [hours] = read_calendar(text).timetable.hours
    assert (hours.phase, hours.segment, hours.valid_from) == (Phase.OPEN, "all", date(2024, 10, 28))


def test_the_coverage_may_be_told_year_by_year() -> None:
    head = "# exchange: NSE\n# coverage: 2025-01-01..2025-12-31\n# coverage: 2024-10-28..2024-12-31\n"
    calendar = read_calendar(head + REGULAR + TITLES)
    assert (calendar.first, calendar.last) == (date(2024, 10, 28), date(2025, 12, 31))


def _of(line: str) -> str:
    return REGULAR + f"# hours: {line}\n"


BROKEN = [
    (_of("pre-open all 09:00-09:15 from 2024-10-28 source " + "x" * 513), "say it in at most 512 characters", 4),
    (_of("pre-open all 09:00-09:15 from 0001-01-01 source NSE"), "write a day between 1900 and 2199", 4),
    (REGULAR + "# coverage: 2024-11-11..9999-12-31\n", "the year of 9999-12-31", 4),
    (_of("lunch all 12:00-13:00 from 2024-10-28 source NSE"), "hours cannot be read: 'lunch all", 4),
    (_of("pre-open all 09:00-09:15 source NSE"), "hours cannot be read", 4),
    (_of("pre-open all 09:00-09:15 from 2024-10-28"), "with a phase of pre-open, continuous, closing-auction", 4),
    (_of("pre-open all 09:15-09:00 from 2024-10-28 source NSE"), "the end lies before the start", 4),
    (_of("pre-open all 25:00-26:00 from 2024-10-28 source NSE"), "not a time: '25:00'", 4),
    (_of("amo all 08:57-15:45 from 2024-10-28 source NSE"), "span no night", 4),
    (_of("pre-open all 09:00-09:15 from 2024-13-28 source NSE"), "not a day: '2024-13-28'", 4),
    (_of("pre-open all 09:00-09:15 from 2024-11-02 to 2024-11-01 source NSE"), "the end lies before the start", 4),
    (_of("pre-open all 09:00-09:20 from 2024-10-28 source NSE"), "continuous begins 09:15, pre-open ends 09:20", 3),
    (_of("post-close all 15:20-16:00 from 2024-10-28 source NSE"), "post-close begins 15:20, continuous ends 15:30", 4),
    (_of("amo all 15:20-08:57 from 2024-10-28 source NSE"), "amo begins 15:20, continuous ends 15:30", 4),
    (_of("amo all 15:45-09:20 from 2024-10-28 source NSE"), "continuous begins 09:15, amo ends 09:20", 3),
    (_of("continuous all 09:15-15:30 from 2024-10-28 source NSE"), "hours are there twice", 4),
    (_of("continuous all 09:00-15:30 from 2024-10-28 source NSE"), "overlap: from 2024-10-28 on", 3),
    (_of("continuous all 18:00-19:00 on 2024-11-01 source NSE"), "write a row like 2024-11-01,special,18:00,19:00", 4),
    (_of("pre-open all 09:00-09:15 on 2024-11-02 source NSE"), "which has no session", 4),
    ("# hours: pre-open all 09:00-09:15 from 2024-10-28 source NSE\n", "continuous all are missing", 0),
    (REGULAR.replace("from 2024-10-28", "from 2024-10-29"), "the coverage begins 2024-10-28", 3),
    (REGULAR.replace("from 2024-10-28", "from 2024-10-28 to 2024-11-09"), "they end 2024-11-09, the coverage", 3),
    (REGULAR + "# regular: 09:15-15:30\n# regular: 09:15-15:30\n", "regular is there twice", 5),
    (REGULAR + "# exchange: NSE\n", "exchange is there twice", 4),
    (REGULAR + "# coverage: 2024-11-12..2024-12-31\n", "has a gap between 2024-11-10 and 2024-11-12", 4),
    (REGULAR + "# coverage: 2024-11-10..2024-12-31\n", "overlaps between 2024-11-10 and 2024-11-10", 4),
    (REGULAR + "# coverage: 2024-12-31..2024-11-11\n", "write the earlier day first: # coverage: 2024-11-11", 4),
]  # fmt: skip


@pytest.mark.parametrize(("hours", "problem", "line"), BROKEN)
def test_hours_that_do_not_fit_are_refused_with_line_value_and_cure(hours: str, problem: str, line: int) -> None:
    with pytest.raises(BadCalendar) as caught:
        _read(hours)
    assert problem in str(caught.value)
    assert caught.value.line == line


def test_hours_that_one_session_has_for_itself_must_fit_it() -> None:
    own = _of("pre-open all 17:30-18:05 on 2024-11-01 source NSE")
    with pytest.raises(BadCalendar, match="2024-11-01 for all: continuous begins 18:00, pre-open ends 18:05"):
        _read(own, EVENING)


def test_hours_that_follow_each_other_have_no_fault() -> None:
    assert phase_fault(read_calendar(HEAD + REGULAR + TITLES + EVENING)) is None


@given(st.integers(0, 14), st.integers(0, 120), st.text(max_size=6), st.integers(0, 40), st.booleans())
def test_whatever_somebody_writes_is_a_calendar_or_refused_by_its_line(
    number: int, at: int, typed: str, gone: int, twice: bool
) -> None:
    lines = NSE.splitlines()[:20]
    line = lines[number]
    lines[number] = line[:at] + typed + line[at + gone :]
    if twice:
        lines.insert(number, line)
    calendar, refused = _taken("\n".join(lines))
    if refused is not None:
        assert 0 <= refused.line <= len(lines) + len(typed.splitlines())
    if calendar is not None:
        assert validity_fault(calendar.timetable.hours, calendar.first, calendar.last) is None
        assert phase_fault(calendar) is None


def _taken(text: str) -> tuple[Calendar | None, BadCalendar | None]:
    """Return the calendar of a text, or how it is refused: there is nothing else."""
    try:
        return read_calendar(text), None
    except BadCalendar as error:
        return None, error
