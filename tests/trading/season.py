"""A season of an exchange as a calendar of a page's length: holidays, an evening, a Saturday, an end in mid-week."""

from datetime import UTC, date, datetime, time, timedelta

from trading.calendar import Calendar, ist
from trading.calendar_file import named_days, read_calendar

_TEXT = """\
# exchange: NSE
# coverage: 2026-07-15..2026-12-30
# hours: pre-open all 09:00-09:15 from 2026-01-01 source a page
# hours: continuous all 09:15-15:30 from 2026-01-01 source a page
# hours: amo all 15:45-08:57 from 2026-01-01 source a page
day,kind,opens,closes,name,source
2026-09-14,holiday,,,Ganesh Chaturthi,a page
2026-09-30,holiday,,,Made up,a page
2026-10-02,holiday,,,Gandhi Jayanti,a page
2026-10-24,special,09:15,12:30,A Saturday,a page
2026-11-08,special,18:00,19:15,Muhurat session,a page
2026-11-10,holiday,,,Diwali Balipratipada,a page
2026-12-25,holiday,,,Christmas,a page
"""

CALENDAR: Calendar = read_calendar(_TEXT)
NAMES = {one.day: one.name for one in named_days(_TEXT) if one.kind == "holiday"}
BEGIN, END = ist(CALENDAR.first, time(0)), ist(CALENDAR.last + timedelta(days=1), time(0))


def at(month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    """Return a moment of 2026 in exchange time as UTC."""
    return ist(date(2026, month, day), time(hour, minute)).astimezone(UTC)
