"""What the market shows of some shares at one moment: quotes of today on bars up to the session before."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import numpy as np

from adapters.prices.base import PriceSourceError
from trading.bars import Bars, Quote
from trading.calendar import Calendar, Session
from trading.exits import Shown
from trading.strategies.base import price_of
from trading.values import Symbol
from worker.outcome import Retry
from worker.resources import Resources

# All accounts ask for the same history in the same minute: one comparison with the table serves them.
HISTORY_SECONDS_OLD = 5.0


def is_open(session: Session, now: datetime) -> bool:
    """Tell whether a session is open."""
    return session.opens <= now < session.closes


def open_session(calendar: Calendar, now: datetime) -> Session | None:
    """Return the session that is open at a moment, None if there is none."""
    session = calendar.session(calendar.exchange_day(now))
    return session if session is not None and is_open(session, now) else None


async def shown_at(
    resources: Resources, today: Session, symbols: Sequence[Symbol], now: datetime
) -> Mapping[Symbol, Shown]:
    """Return what is shown of shares in today's session, with no transaction open. Raises Retry without prices.

    A share without a quote, or whose bars end before the session before, is left out: an older average is another one.
    """
    before = resources.calendar.previous_session(today.day).day
    history = await resources.history.until(before, HISTORY_SECONDS_OLD)
    whole = resources.calendar.bar_is_whole(now)
    try:
        quotes = await resources.prices.quotes(symbols, today.day, now, whole)
    except PriceSourceError as error:
        raise Retry(str(error)) from error
    last_day = np.datetime64(before, "D")
    known = {symbol: bars for symbol in quotes if (bars := history.get(symbol)) is not None}
    return {symbol: Shown(quotes[symbol], bars, whole) for symbol, bars in known.items() if bars.days[-1] == last_day}


async def last_known(
    resources: Resources, today: Session, symbols: Sequence[Symbol], now: datetime
) -> Mapping[Symbol, Shown]:
    """Return shares at the close of the session before, where the source tells nothing of a session before its end.

    Empty where it tells of today's: a share that is missing there has no price, and an old one is none. Raises Retry.
    """
    try:
        told = await resources.prices.shows(today.day)
    except PriceSourceError as error:
        raise Retry(str(error)) from error
    if told:
        return {}
    before = resources.calendar.previous_session(today.day).day
    history = await resources.history.until(before, HISTORY_SECONDS_OLD)
    known = {symbol: bars for symbol in symbols if (bars := history.get(symbol)) is not None}
    last_day = np.datetime64(before, "D")
    return {
        symbol: Shown(_at_close(bars, today, now), bars, whole=False)
        for symbol, bars in known.items()
        if bars.days[-1] == last_day
    }


def _at_close(bars: Bars, today: Session, now: datetime) -> Quote:
    close = price_of(float(bars.close[-1]))
    return Quote(bars.symbol, today.day, now, close, close, close, close)
