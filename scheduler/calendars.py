"""The calendars that slots are planned by, one an exchange, each taken anew as soon as another is stored."""

from datetime import datetime

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from db.calendar import CalendarRepository, StoredCalendar
from trading.calendar import Calendar
from trading.errors import CalendarMissing

log = structlog.get_logger(__name__)


class Calendars:
    """Every calendar there is, as this process knows it."""

    def __init__(self) -> None:
        self._stored: dict[str, StoredCalendar] = {}

    def of(self, exchange: str) -> Calendar:
        """Return an exchange's calendar as it was last held. Raises CalendarMissing."""
        try:
            return self._stored[exchange].calendar
        except KeyError:
            raise CalendarMissing(exchange) from None

    async def hold(self, session: AsyncSession) -> None:
        """Take the calendars that are stored now, and keep them from being replaced until the transaction ends.

        Else an import could commit between the look at a calendar and the due time planned by it, which would stay.
        """
        calendars = CalendarRepository(session)
        for exchange, loaded_at in (await calendars.hold_all()).items():
            if self._loaded_at(exchange) != loaded_at:
                self._stored[exchange] = await calendars.stored(exchange)
                taken = self.of(exchange)
                log.info("calendar_taken", exchange=exchange, first=str(taken.first), last=str(taken.last))

    def _loaded_at(self, exchange: str) -> datetime | None:
        known = self._stored.get(exchange)
        return None if known is None else known.loaded_at
