"""Says in the log, once a day, that a calendar ends soon: outside of it nothing trades."""

import time

import structlog

from db.calendar import CalendarRepository
from db.clock import ClockRepository
from db.transaction import Database
from trading.coverage import coverage_warning

A_DAY_SECONDS = 86_400.0

log = structlog.get_logger(__name__)


class CoverageWatch:
    """Looks at the calendars there are when a scheduler begins, and a day later again."""

    def __init__(self, database: Database) -> None:
        self._database, self._looked_at = database, float("-inf")

    async def look(self) -> None:
        """Log of each calendar that ends within 30 days, unless that was looked at within a day of machine time."""
        if time.monotonic() - self._looked_at < A_DAY_SECONDS:
            return
        async with self._database.reading(None) as session:
            calendars = CalendarRepository(session)
            known = [await calendars.load(exchange) for exchange in await calendars.exchanges()]
            now = (await ClockRepository(session).read()).now
        self._looked_at = time.monotonic()
        for calendar in known:
            if (warning := coverage_warning(calendar, now)) is not None:
                log.warning("calendar_ends", exchange=calendar.exchange, last=str(calendar.last), cure=warning)
