"""What a step may use: the database, prices, brokers and caches of its process. Made once, at the door."""

from dataclasses import dataclass, field

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


async def open_resources(database: Database, prices: str) -> Resources:
    """Return the resources of a process. prices: the spec of a source. Raises PriceSourceError, LookupError."""
    async with database.reading(None) as session:
        calendar = await CalendarRepository(session).load()
    days = [session.day for session in calendar.sessions_between(calendar.first, calendar.last)]
    return Resources(database, calendar, open_source(prices, days), MarketHistory(database))
