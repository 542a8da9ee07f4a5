"""What is to be said of a calendar that ends soon, or has ended: outside of it nothing trades."""

from datetime import datetime, timedelta

from trading.calendar import Calendar, exchange_day

COVERAGE_AHEAD = timedelta(days=30)
"""So long before its calendar's end an exchange's next list has to be loaded."""


def coverage_warning(calendar: Calendar, now: datetime) -> str | None:
    """Return what somebody has to do about the end of a calendar's coverage; None: it is further off than 30 days.

    now: an aware moment; its exchange day counts.
    """
    left = calendar.last - exchange_day(now)
    if left >= COVERAGE_AHEAD:
        return None
    if left < timedelta():
        ends = f"ended on {calendar.last}: nothing trades"
    else:
        ends = f"ends on {calendar.last}, in {left.days} days, and then nothing trades"
    return f"the calendar of {calendar.exchange} {ends}; load the next list with `muhurat calendar import FILE`"
