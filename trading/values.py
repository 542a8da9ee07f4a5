"""The values every room speaks: symbols, sides, money, and prices on the exchange's tick grid."""

import re
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from enum import StrEnum
from typing import NewType

Symbol = NewType("Symbol", str)
"""A base symbol of the exchange, upper case, without series or suffix: ``INFY``, ``M&M``."""

Money = Decimal
"""Rupees, two decimals when stored."""

Price = Decimal
"""Rupees a share, up to four decimals."""

Quantity = int
"""Whole shares."""

PAISA = Decimal("0.01")

_SUFFIX = re.compile(r"(\.NS|\.BO|-EQ|-BE|-BL|-BZ)$")
_SYMBOL = re.compile(r"^[A-Z0-9][A-Z0-9&_-]{0,31}$")

# NSE cash tick sizes since 2025-04-15: (upper price bound, tick). Source: NSE circular of 2025-03, domain table 5.9.
_TICKS: tuple[tuple[Decimal, Decimal], ...] = (
    (Decimal(250), Decimal("0.01")),
    (Decimal(1000), Decimal("0.05")),
    (Decimal(5000), Decimal("0.10")),
    (Decimal(10000), Decimal("0.50")),
    (Decimal(20000), Decimal("1.00")),
)
_TOP_TICK = Decimal("5.00")


class Side(StrEnum):
    """The direction of an order or a fill."""

    BUY = "buy"
    SELL = "sell"


def parse_symbol(text: str) -> Symbol:
    """Return the base symbol of any form seen in files and broker replies.

    Takes `infy`, `INFY.NS`, `INFY-EQ`; Raises ValueError with the text when it is none of them.
    """
    base = _SUFFIX.sub("", text.strip().upper())
    if not _SYMBOL.match(base):
        raise ValueError(f"not a symbol: {text!r} (expected a form like INFY, INFY.NS or INFY-EQ)")
    return Symbol(base)


def money(value: Decimal | int | str) -> Money:
    """Return the amount rounded to paise, half up as brokers' contract notes do."""
    return Decimal(value).quantize(PAISA, rounding="ROUND_HALF_UP")


def tick_size(price: Price) -> Decimal:
    """Return the tick of a price in rupees."""
    for bound, tick in _TICKS:
        if price < bound:
            return tick
    return _TOP_TICK


def tick_floor(price: Price) -> Price:
    """Return the highest price on the tick grid that is not above the given one: for sell limits."""
    tick = tick_size(price)
    return (price / tick).to_integral_value(rounding=ROUND_FLOOR) * tick


def tick_ceil(price: Price) -> Price:
    """Return the lowest price on the tick grid that is not below the given one."""
    tick = tick_size(price)
    return (price / tick).to_integral_value(rounding=ROUND_CEILING) * tick
