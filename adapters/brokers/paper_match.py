"""How the paper venue fills, rejects and expires one resting order by what the market has shown. No I/O."""

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta

from db.paper import PaperBookRow, PaperOrderRow
from trading.bars import Quote
from trading.calendar import Calendar, Session
from trading.charges import charges
from trading.values import Price, Side, Symbol, money

RESTING = frozenset({"parked", "open"})

Shown = Mapping[tuple[date, Symbol], Quote | None]
"""What was asked of the market, by session day and symbol; None: asked, and no price of that day is known yet."""

_DAY = timedelta(days=1)


def venue_turn(order: PaperOrderRow) -> tuple[date, str, str]:
    """Return an order's place in the venue's order."""
    return (order.session_day, order.symbol, order.tag)


def open_session(calendar: Calendar, day: date, at: datetime) -> Session | None:
    """Return a day's session if it has opened; None when it has not, or there is none."""
    session = calendar.session(day)
    return session if session is not None and at >= session.opens else None


def match(orders: Iterable[PaperOrderRow], book: PaperBookRow, shown: Shown, calendar: Calendar, at: datetime) -> None:
    """Match resting orders, one after the other in the venue's order; what was not asked for is left alone."""
    for order in sorted(orders, key=venue_turn):
        key = (order.session_day, Symbol(order.symbol))
        session = open_session(calendar, order.session_day, at)
        if order.word in RESTING and session is not None and key in shown:
            _match(order, book, shown[key], calendar, session, at)


def _match(
    order: PaperOrderRow,
    book: PaperBookRow,
    quote: Quote | None,
    calendar: Calendar,
    session: Session,
    at: datetime,
) -> None:
    price = _price(order, quote) if quote is not None else None
    if quote is not None and price is not None:
        at_open = order.word == "parked" and price == quote.open
        _fill(order, book, price, session.opens if at_open else min(at, session.closes))
    elif quote is not None and at >= session.closes:
        order.word, order.reason = "expired", "the session ended"
    elif quote is None and _next_opened(calendar, session, at):
        order.word, order.reason = "expired", "no price that day"


def _next_opened(calendar: Calendar, session: Session, at: datetime) -> bool:
    """Tell whether a later session has opened: until then a source may still be waiting for the day's bar.

    A folder's files come after the close, and nobody can say of one symbol that its bar will not.
    """
    today = calendar.exchange_day(at)
    later = calendar.sessions_between(session.day + _DAY, today) if today > session.day else ()
    return any(one.opens <= at for one in later)


def _price(order: PaperOrderRow, quote: Quote) -> Price | None:
    """Return the price an order fills at, None while the market has not come to its limit."""
    limit = order.limit_price
    if limit is None:
        return quote.open if order.word == "parked" else quote.last
    if order.side == Side.SELL:
        return max(quote.open, limit) if quote.high >= limit else None
    return min(quote.open, limit) if quote.low <= limit else None


def _fill(order: PaperOrderRow, book: PaperBookRow, price: Price, at: datetime) -> None:
    side = Side(order.side)
    value = money(order.quantity * price)
    cost = charges(side, order.quantity, price, order.session_day).total
    if side is Side.BUY and value + cost > book.cash:
        order.word, order.reason = "rejected", f"insufficient funds: needs {value + cost}, has {book.cash}"
        return
    book.cash += value - cost if side is Side.SELL else -value - cost
    order.filled_at, order.word = at, "complete"
    order.fill_price, order.filled_quantity = price, order.quantity
