"""What a step may use: the database, prices, brokers and caches of its process.

Made once, at the door; only a new calendar makes them again.
"""

import asyncio
from dataclasses import dataclass, field, replace
from datetime import date, datetime

from adapters.brokers.base import Broker
from adapters.brokers.registry import open_broker
from adapters.prices.base import PriceSource
from adapters.prices.registry import open_source
from db.accounts import AccountRow
from db.calendar import CalendarRepository
from db.transaction import Database
from trading.calendar import Calendar
from trading.recipes import Estimator
from worker.history import MarketHistory


@dataclass(slots=True)
class Resources:
    """One process's means. estimators: by the SHA-256 of their artefact."""

    database: Database
    calendar: Calendar
    prices: PriceSource
    history: MarketHistory
    estimators: dict[str, Estimator] = field(default_factory=dict)

    def broker(self, account: AccountRow) -> Broker:
        """Return the broker of an account's venue."""
        return open_broker(account.venue, self.database, self.prices, self.calendar)


class CurrentResources:
    """A process's resources under the newest calendar. A step keeps those it was given to its end."""

    def __init__(self, resources: Resources, spec: str, loaded_at: datetime) -> None:
        """spec: of the price source. loaded_at: when the resources' calendar was stored."""
        self._newest, self._spec, self._loaded_at = resources, spec, loaded_at
        self._reading = asyncio.Lock()

    async def at(self, calendar_at: datetime | None) -> Resources:
        """Return the resources with a calendar as new as the one that was stored at a moment; None: any."""
        if calendar_at is None or calendar_at <= self._loaded_at:
            return self._newest
        async with self._reading:
            if calendar_at > self._loaded_at:
                async with self._newest.database.reading(None) as session:
                    stored = await CalendarRepository(session).stored()
                prices = open_source(self._spec, _days_of(stored.calendar))
                self._newest = replace(self._newest, calendar=stored.calendar, prices=prices)
                self._loaded_at = stored.loaded_at
            return self._newest


async def open_resources(database: Database, prices: str) -> CurrentResources:
    """Return the resources of a process. prices: the spec of a source. Raises PriceSourceError, LookupError."""
    async with database.reading(None) as session:
        stored = await CalendarRepository(session).stored()
    source = open_source(prices, _days_of(stored.calendar))
    resources = Resources(database, stored.calendar, source, MarketHistory(database))
    return CurrentResources(resources, prices, stored.loaded_at)


def _days_of(calendar: Calendar) -> list[date]:
    return [session.day for session in calendar.sessions_between(calendar.first, calendar.last)]
