"""The paper venue: a broker whose book is rows, filled by what a price source shows.

Every request first matches what rests, so that no outcome depends on which request came first.
"""

from collections.abc import Awaitable, Callable, Iterable
from datetime import date, datetime

from adapters.brokers.base import (
    Accepted,
    Capabilities,
    Change,
    Complete,
    Failed,
    NotSent,
    Placement,
    PlaceOutcome,
    Refused,
)
from adapters.brokers.paper_match import RESTING, Shown, match, open_session
from adapters.brokers.paper_rows import complete_book, order_row
from adapters.prices.base import PriceSource, PriceSourceError
from db.paper import PaperBookRow, PaperOrderRow, PaperRepository
from db.transaction import Database
from trading.bars import Quote
from trading.calendar import Calendar
from trading.values import Quantity, Side, Symbol

_Wanted = set[tuple[date, Symbol]]


class PaperBroker:
    """A venue without money. One request is one transaction under the lock of the account's book."""

    capabilities = Capabilities(after_market_orders=True, one_order_per_tag=True)

    def __init__(self, database: Database, prices: PriceSource, calendar: Calendar) -> None:
        self._database, self._prices, self._calendar = database, prices, calendar

    async def place(self, user_id: int, account_id: int, placement: Placement, at: datetime) -> PlaceOutcome:
        """Send one order, once: a known tag answers with its first order."""
        refusal = self._refuse_time(placement, at)
        async with self._database.reading(user_id) as session:
            book = PaperRepository(session)
            if known := await book.by_tag(account_id, placement.tag):
                return Accepted(known.broker_order_id)
            if refusal is not None:
                return Refused(refusal)
            wanted = _wanted(await book.resting(account_id)) | {(placement.session_day, placement.symbol)}
        try:
            shown = await self._look(wanted, at)
        except PriceSourceError as error:
            return NotSent(str(error))
        async with self._database.transaction(user_id) as session:
            book = PaperRepository(session)
            money = await self._matched(book, account_id, shown, at)
            if known := await book.by_tag(account_id, placement.tag):
                return Accepted(known.broker_order_id)
            if placement.side is Side.SELL:
                held = await book.free_shares(account_id, placement.symbol)
                if placement.quantity > held:
                    return _short_of_shares(placement.symbol, held, placement.quantity)
            order = order_row(user_id, account_id, placement, at)
            book.add(order)
            match([order], money, shown, self._calendar, at)
        return Accepted(order.broker_order_id)

    async def change(self, user_id: int, account_id: int, tag: str, change: Change, at: datetime) -> PlaceOutcome:
        """Set an order's price and quantity. What filled before the change stays filled and is accepted."""

        async def alter(book: PaperRepository, order: PaperOrderRow) -> Refused | None:
            if change.quantity is not None and (refused := await self._refuse_size(book, order, change.quantity)):
                return refused
            order.quantity = change.quantity or order.quantity
            order.limit_price = change.limit_price
            order.order_type = "market" if change.limit_price is None else "limit"
            return None

        return await self._alter(user_id, account_id, tag, at, alter, settled="complete")

    async def cancel(self, user_id: int, account_id: int, tag: str, at: datetime) -> PlaceOutcome:
        """End an order, unless the market came to it first."""

        async def end(_: PaperRepository, order: PaperOrderRow) -> Refused | None:
            order.word = "cancelled"
            return None

        return await self._alter(user_id, account_id, tag, at, end, settled="cancelled")

    async def book(self, user_id: int, account_id: int, since: date, at: datetime) -> Complete | Failed:
        """Return all orders for sessions from a day on, with their fills, in the venue's order."""
        async with self._database.reading(user_id) as session:
            rows = PaperRepository(session)
            wanted = self._opened(_wanted(await rows.resting(account_id)), at)
            if not wanted:
                return complete_book(await rows.book(account_id, since))
        try:
            shown = await self._look(wanted, at)
        except PriceSourceError as error:
            return Failed(str(error))
        async with self._database.transaction(user_id) as session:
            rows = PaperRepository(session)
            await self._matched(rows, account_id, shown, at)
            return complete_book(await rows.book(account_id, since))

    async def _alter(
        self,
        user_id: int,
        account_id: int,
        tag: str,
        at: datetime,
        alter: Callable[[PaperRepository, PaperOrderRow], Awaitable[Refused | None]],
        settled: str,
    ) -> PlaceOutcome:
        """Match, then alter the order if it still rests. settled: the word that needs no altering any more."""
        async with self._database.reading(user_id) as session:
            wanted = _wanted(await PaperRepository(session).resting(account_id))
        try:
            shown = await self._look(wanted, at)
        except PriceSourceError as error:
            return NotSent(str(error))
        async with self._database.transaction(user_id) as session:
            book = PaperRepository(session)
            money = await self._matched(book, account_id, shown, at)
            order = await book.by_tag(account_id, tag)
            if order is None:
                return Refused(f"no order {tag}")
            if order.word in RESTING:
                if refused := await alter(book, order):
                    return refused
                match([order], money, shown, self._calendar, at)
            elif order.word != settled:
                return Refused(f"order {tag} is {order.word}")
            return Accepted(order.broker_order_id)

    async def _refuse_size(self, book: PaperRepository, order: PaperOrderRow, wanted: Quantity) -> Refused | None:
        """Return why an order may not be of that size; what it offers already is free for it."""
        if order.side != Side.SELL:
            return None
        held = await book.free_shares(order.account_id, order.symbol) + order.quantity
        return _short_of_shares(order.symbol, held, wanted) if wanted > held else None

    async def _matched(self, book: PaperRepository, account_id: int, shown: Shown, at: datetime) -> PaperBookRow:
        """Lock the book and match what rests in it. Returns the book."""
        money = await book.lock(account_id)
        match(await book.resting(account_id), money, shown, self._calendar, at)
        return money

    async def _look(self, wanted: _Wanted, at: datetime) -> Shown:
        """Ask what the market has shown of the orders whose session has opened."""
        opened = self._opened(wanted, at)
        shown: dict[tuple[date, Symbol], Quote | None] = dict.fromkeys(opened)
        for day in sorted({day for day, _ in opened}):
            symbols = sorted(symbol for one, symbol in opened if one == day)
            session = open_session(self._calendar, day, at)
            # An order that outlived its session is matched by what its own day showed, not by today's hour.
            whole = session is not None and self._calendar.bar_is_whole(min(at, session.closes))
            quotes = await self._prices.quotes(symbols, day, at, whole)
            shown.update({(day, symbol): quote for symbol, quote in quotes.items()})
        return shown

    def _opened(self, wanted: _Wanted, at: datetime) -> _Wanted:
        return {one for one in wanted if open_session(self._calendar, one[0], at) is not None}

    def _refuse_time(self, placement: Placement, at: datetime) -> str | None:
        session = self._calendar.session(placement.session_day)
        if session is None:
            return f"no session on {placement.session_day}"
        if placement.variety == "amo":
            return f"the session of {session.day} has opened" if at >= session.opens else None
        return None if session.opens <= at < session.closes else f"the session of {session.day} is not open"


def _short_of_shares(symbol: str, held: Quantity, wanted: Quantity) -> Refused:
    return Refused(f"holding {held} of {symbol}, cannot sell {wanted}")


def _wanted(orders: Iterable[PaperOrderRow]) -> _Wanted:
    return {(order.session_day, Symbol(order.symbol)) for order in orders}
