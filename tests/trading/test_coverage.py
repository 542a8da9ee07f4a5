"""Thirty days before a calendar ends somebody is told to load the next list."""

from datetime import date, time, timedelta

import pytest

from trading.calendar import Calendar, ist
from trading.coverage import coverage_warning

LAST = date(2026, 12, 31)
CALENDAR = Calendar("NSE", [], date(2026, 1, 1), LAST)


@pytest.mark.parametrize(
    ("days", "said"),
    [
        (31, None),
        (30, None),
        (29, "ends on 2026-12-31, in 29 days, and then nothing trades"),
        (0, "ends on 2026-12-31, in 0 days"),
        (-1, "ended on 2026-12-31: nothing trades"),
    ],
)
def test_the_end_of_a_calendar_is_told_so_many_days_before_it(days: int, said: str | None) -> None:
    warning = coverage_warning(CALENDAR, ist(LAST - timedelta(days=days), time(0)))
    if said is None:
        assert warning is None
    else:
        assert warning is not None
        assert said in warning
        assert "of NSE" in warning
        assert "`muhurat calendar import FILE`" in warning
