"""The hours of NSE's phases as the calendar file that we ship has them, for calendars that a test makes by hand."""

from importlib.resources import files

from trading.calendar_file import read_calendar

NSE_HOURS = read_calendar((files("db") / "nse_calendar.csv").read_text(encoding="utf-8")).timetable.hours
