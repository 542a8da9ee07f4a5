"""Which broker an account's venue means: the one place that knows them all."""

from collections.abc import Callable

from adapters.brokers.base import Broker
from adapters.brokers.paper import PaperBroker
from adapters.prices.base import PriceSource
from db.transaction import Database
from trading.calendar import Calendar

VENUES: dict[str, Callable[[Database, PriceSource, Calendar], Broker]] = {"paper": PaperBroker}


def open_broker(venue: str, database: Database, prices: PriceSource, calendar: Calendar) -> Broker:
    """Return the broker of a venue. Raises LookupError naming those there are."""
    if venue not in VENUES:
        raise LookupError(f"no venue {venue!r}; there are: {', '.join(sorted(VENUES))}")
    return VENUES[venue](database, prices, calendar)
