"""How many shares a trade's first purchase had: its `qty` may or may not hold the later purchases already.

The predecessor changed its mind about that on the way, so the numbers of each record decide.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from ops.importers.fields import RefusedRecordError
from trading.values import Price, Quantity

# A stated profit was rounded, and sometimes had its charges in; a capital was spent up to one share.
_PNL_OFF = Decimal("0.01")
_CAPITAL_OFF = Decimal("0.02")
_EXACT = Decimal("0.0001")


class Reading(StrEnum):
    """How a `qty` was read, and by what."""

    SINGLE = "single purchase"
    GIVEN = "all purchases, of which the first is told"
    FIRST_TOO_SMALL = "first purchase: the later ones alone are as many"
    FIRST_BY_PNL = "first purchase, by the profit"
    TOTAL_BY_PNL = "all purchases, by the profit"
    AVERAGE_BY_PNL = "all purchases at their average price, by the profit"
    FIRST_BY_CAPITAL = "first purchase, by the capital"
    TOTAL_BY_CAPITAL = "all purchases, by the capital"
    TOTAL_ASSUMED = "all purchases, assumed"


@dataclass(slots=True)
class Bought:
    """A `qty` as written, the price beside it, and the later purchases: (quantity, price).

    rest: the first purchase, should the quantity be that of all. later_value: what the later ones cost.
    """

    quantity: Quantity
    price: Price
    later: Sequence[tuple[Quantity, Price]]
    rest: Quantity = field(init=False)
    later_value: Decimal = field(init=False)

    def __post_init__(self) -> None:
        self.rest, self.later_value = self.quantity, Decimal(0)
        for quantity, price in self.later:
            self.rest -= quantity
            self.later_value += quantity * price

    @property
    def first_price(self) -> Price:
        """The first purchase's price, should quantity and price be those of all."""
        return ((self.quantity * self.price - self.later_value) / self.rest).quantize(_EXACT)


def first_purchase(
    bought: Bought,
    *,
    capital: float | None,
    exit_price: Price | None,
    stated_pnl: float | None,
    told: Quantity | None = None,
) -> tuple[Reading, Quantity, Price]:
    """Return how the quantity was read, and how many shares the first purchase had, at what price.

    told: the first purchase's shares, where the record has them. Raises RefusedRecordError when they are not the rest.
    """
    if told is not None:
        if told != bought.rest:
            said = f"first_qty is {told}, and qty without the later purchases {bought.rest}"
            raise RefusedRecordError("bad_quantity", said)
        return Reading.GIVEN, told, bought.price
    if not bought.later:
        return Reading.SINGLE, bought.quantity, bought.price
    if bought.rest <= 0:
        return Reading.FIRST_TOO_SMALL, bought.quantity, bought.price
    # The younger files, which are the more, count everything.
    reading = _by_pnl(bought, exit_price, stated_pnl) or _by_capital(bought, capital) or Reading.TOTAL_ASSUMED
    if reading in (Reading.FIRST_BY_PNL, Reading.FIRST_BY_CAPITAL):
        return reading, bought.quantity, bought.price
    return reading, bought.rest, bought.first_price if reading is Reading.AVERAGE_BY_PNL else bought.price


def _by_pnl(bought: Bought, exit_price: Price | None, stated_pnl: float | None) -> Reading | None:
    """Return the one reading that the stated profit fits."""
    if exit_price is None or stated_pnl is None:
        return None
    later = (bought.quantity - bought.rest) * exit_price - bought.later_value
    gain = exit_price - bought.price
    candidates = {
        Reading.TOTAL_BY_PNL: later + bought.rest * gain,
        Reading.FIRST_BY_PNL: later + bought.quantity * gain,
    }
    if bought.first_price > 0:
        candidates[Reading.AVERAGE_BY_PNL] = bought.quantity * gain
    return _fitting(Decimal(str(stated_pnl)), candidates, _PNL_OFF)


def _by_capital(bought: Bought, capital: float | None) -> Reading | None:
    """Return the one reading whose first purchase spent the capital, up to one share."""
    if not capital:
        return None
    spent = Decimal(str(capital))
    candidates = {
        Reading.TOTAL_BY_CAPITAL: bought.rest * bought.price,
        Reading.FIRST_BY_CAPITAL: bought.quantity * bought.price,
    }
    return _fitting(spent, candidates, max(_CAPITAL_OFF, bought.price / abs(spent)))


def _fitting(stated: Decimal, candidates: dict[Reading, Decimal], off: Decimal) -> Reading | None:
    limit = off * max(abs(stated), Decimal(1))
    fitting = [reading for reading, computed in candidates.items() if abs(stated - computed) <= limit]
    return fitting[0] if len(fitting) == 1 else None
