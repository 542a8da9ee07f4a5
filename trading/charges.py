"""What a delivery trade on NSE costs beside its price. One schedule, by date, for paper, backtest and estimates."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from trading.values import Money, Price, Quantity, Side, money

# Depository charge a sale of a share and day, before GST: 13.50 at the two large depository participants.
DP_CHARGE = Decimal("13.50")
GST = Decimal("0.18")


@dataclass(frozen=True, slots=True)
class Charges:
    """The parts of a trade's cost in rupees, each rounded to paise. dp holds its own GST."""

    brokerage: Money
    stt: Money
    exchange: Money
    sebi: Money
    stamp: Money
    gst: Money
    dp: Money

    @property
    def total(self) -> Money:
        """The sum of all parts."""
        return self.brokerage + self.stt + self.exchange + self.sebi + self.stamp + self.gst + self.dp


@dataclass(frozen=True, slots=True)
class _Schedule:
    """Rates as a share of the traded value."""

    since: date
    exchange: Decimal
    brokerage: Decimal = Decimal(0)  # delivery is free at the brokers in view
    stt: Decimal = Decimal("0.001")  # both sides of a delivery trade
    sebi: Decimal = Decimal("0.000001")  # 10 rupees a crore
    stamp: Decimal = Decimal("0.00015")  # buys only, one rate for all states since 2020-07-01


# The exchange's transaction charge moved; the rest stood still. A day before the first row takes the first row,
# though stamp duty differed by state then.
_SCHEDULES = (
    _Schedule(date(2020, 7, 1), Decimal("0.0000325")),  # Indian Stamp Act as amended, in force 2020-07-01
    _Schedule(date(2021, 1, 1), Decimal("0.0000345")),  # NSE raised it by 6 % for the investor protection fund
    _Schedule(date(2023, 4, 1), Decimal("0.0000325")),  # NSE took that back
    _Schedule(date(2024, 4, 1), Decimal("0.0000322")),  # NSE lowered it by 1 %
    _Schedule(date(2024, 10, 1), Decimal("0.0000297")),  # one rate for all members, SEBI circular of 2024-07-01
)


def charges(side: Side, quantity: Quantity, price: Price, on: date) -> Charges:
    """Return what a fill costs at the rates of its day.

    The depository charge is due once a share and day of sale: a sale filled in parts counts it in each part.
    """
    value, rates = quantity * price, _schedule(on)
    brokerage, exchange, sebi = money(value * rates.brokerage), money(value * rates.exchange), money(value * rates.sebi)
    return Charges(
        brokerage=brokerage,
        stt=money(value * rates.stt),
        exchange=exchange,
        sebi=sebi,
        stamp=money(value * rates.stamp) if side is Side.BUY else money(0),
        gst=money((brokerage + exchange + sebi) * GST),
        dp=money(DP_CHARGE * (1 + GST)) if side is Side.SELL else money(0),
    )


def _schedule(on: date) -> _Schedule:
    return next((row for row in reversed(_SCHEDULES) if row.since <= on), _SCHEDULES[0])
