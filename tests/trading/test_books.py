"""The books of a day: each rupee of profit is counted on the day of its sale, once."""

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from trading.books import DayBooks, day_books
from trading.calendar import ist
from trading.portfolio import Fill, Position, apply_fill
from trading.values import Side, Symbol, money

MONDAY = datetime(2024, 3, 4, 4, tzinfo=UTC)
AAA, BBB = Symbol("AAA"), Symbol("BBB")


def fill(side: Side, quantity: int, price: str, day: int = 0, symbol: Symbol = AAA, cost: str = "1") -> Fill:
    return Fill(symbol, side, quantity, Decimal(price), Decimal(cost), MONDAY + timedelta(days=day))


def first_of(day: int) -> datetime:
    return ist((MONDAY + timedelta(days=day)).date(), time.min)


BOUGHT, SOLD_HALF, SOLD_REST = fill(Side.BUY, 10, "100"), fill(Side.SELL, 4, "110", 1), fill(Side.SELL, 6, "90", 2)


def told(books: DayBooks, *names: str) -> tuple[object, ...]:
    return tuple(getattr(books, name) for name in names)


def test_a_purchase_makes_no_profit_and_costs_its_charges() -> None:
    books = day_books([BOUGHT], first_of(0), {AAA: Decimal(103)})
    assert told(books, "realized", "charges", "cost", "unrealized") == (0, 1, 1000, 30)
    assert told(books, "market_value", "held") == (1030, [AAA])


def test_a_sale_counts_on_its_own_day_and_before_charges() -> None:
    books = day_books([BOUGHT, SOLD_HALF], first_of(1), {AAA: Decimal(110)})
    assert told(books, "realized", "charges", "unrealized") == (40, 1, 60)
    assert day_books([BOUGHT, SOLD_HALF, SOLD_REST], first_of(2), {}).realized == -60


def test_what_was_sold_and_bought_again_begins_anew() -> None:
    again = [BOUGHT, fill(Side.SELL, 10, "110", 1), fill(Side.BUY, 5, "120", 1)]
    books = day_books(again, first_of(1), {AAA: Decimal(121)})
    assert told(books, "realized", "cost", "unrealized") == (100, 600, 5)


def test_a_share_without_a_close_counts_at_cost_and_is_named() -> None:
    books = day_books([BOUGHT, fill(Side.BUY, 1, "50", symbol=BBB)], first_of(0), {BBB: Decimal(60)})
    assert told(books, "without_close", "market_value", "unrealized") == ([AAA], 1060, 10)


def test_a_share_sold_more_than_bought_is_named_and_the_others_are_counted() -> None:
    books = day_books([fill(Side.SELL, 1, "9"), fill(Side.BUY, 1, "50", symbol=BBB)], first_of(0), {BBB: Decimal(60)})
    assert told(books, "inconsistent", "held", "unrealized") == ([AAA], [BBB], 10)


def test_a_day_without_fills_is_empty() -> None:
    books = day_books([], first_of(0), {})
    assert told(books, "realized", "charges", "market_value", "held") == (0, 0, 0, [])


@st.composite
def histories(draw: st.DrawFn) -> Sequence[Fill]:
    """Fills of one share over ten days, never more sold than held."""
    fills, held, day = [], 0, 0
    for _ in range(draw(st.integers(1, 12))):
        day += draw(st.integers(0, 2))
        side = draw(st.sampled_from([Side.BUY, Side.SELL])) if held else Side.BUY
        quantity = draw(st.integers(1, held if side is Side.SELL else 50))
        held += quantity if side is Side.BUY else -quantity
        fills.append(fill(side, quantity, str(draw(st.integers(1_000, 99_999)) / 100), day))
    return fills


@given(histories())
def test_the_days_add_up_to_what_the_positions_made(fills: Sequence[Fill]) -> None:
    position: Position | None = None
    made = Decimal(0)
    for one in fills:
        before = position if position is not None and position.closed_at is None else None
        position = apply_fill(before, one)
        made += position.realized_pnl - (before.realized_pnl if before else Decimal(0))
    days = range((fills[-1].at - MONDAY).days + 1)
    books = [day_books([one for one in fills if one.at < first_of(day + 1)], first_of(day), {}) for day in days]
    counted = sum((one.realized - one.charges for one in books), Decimal(0))
    assert abs(counted - money(made)) <= Decimal("0.01") * len(fills)
