from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.errors import Oversold
from trading.portfolio import Fill, Position, apply_fill, average_price, unrealized_pnl
from trading.values import Side, Symbol

INFY = Symbol("INFY")
NOON = datetime(2024, 11, 4, 6, 30, tzinfo=UTC)
# Averages are held to 28 digits; a million shares at a lakh leave at least this many right.
EXACT = Decimal("1e-9")


def fill(side: Side, quantity: int, price: str, cost: str = "0", minute: int = 0) -> Fill:
    return Fill(INFY, side, quantity, Decimal(price), Decimal(cost), NOON + timedelta(minutes=minute))


def play(fills: list[Fill]) -> Position:
    position: Position | None = None
    for one in fills:
        position = apply_fill(position, one)
    assert position is not None
    return position


def test_a_buy_opens_a_position_that_has_paid_its_charges() -> None:
    position = play([fill(Side.BUY, 10, "100", "1.50")])
    assert (position.quantity, position.entry_quantity, position.average_price) == (10, 10, Decimal(100))
    assert (position.realized_pnl, position.charges) == (Decimal("-1.50"), Decimal("1.50"))
    assert (position.opened_at, position.closed_at) == (NOON, None)


def test_a_second_buy_is_averaged_by_quantity() -> None:
    position = play([fill(Side.BUY, 10, "100"), fill(Side.BUY, 30, "80")])
    assert position.average_price == average_price(10, Decimal(100), 30, Decimal(80)) == Decimal(85)


def test_a_sale_in_parts_realises_its_part_and_leaves_the_average() -> None:
    position = play([fill(Side.BUY, 10, "100", "2"), fill(Side.SELL, 4, "110", "3")])
    assert (position.quantity, position.average_price, position.closed_at) == (6, Decimal(100), None)
    assert position.realized_pnl == Decimal(35)
    assert unrealized_pnl(position, Decimal(105)) == Decimal(30)


def test_a_close_keeps_what_was_entered() -> None:
    position = play([fill(Side.BUY, 10, "100", "2"), fill(Side.SELL, 10, "110", "3", minute=5)])
    assert (position.quantity, position.entry_quantity) == (0, 10)
    assert position.closed_at == NOON + timedelta(minutes=5)
    assert position.realized_pnl == Decimal(95)
    assert unrealized_pnl(position, Decimal(500)) == 0


def test_a_buy_after_a_close_opens_a_new_position() -> None:
    position = play([fill(Side.BUY, 10, "100"), fill(Side.SELL, 10, "110"), fill(Side.BUY, 3, "90", "1", minute=9)])
    assert position == Position(
        INFY, 3, 3, Decimal(90), Decimal(-1), Decimal(1), opened_at=NOON + timedelta(minutes=9), closed_at=None
    )


@pytest.mark.parametrize(
    "before", [[], [fill(Side.BUY, 4, "100")], [fill(Side.BUY, 9, "100"), fill(Side.SELL, 9, "100")]]
)
def test_more_than_held_cannot_be_sold(before: list[Fill]) -> None:
    position = play(before) if before else None
    with pytest.raises(Oversold, match="INFY: sold 5"):
        apply_fill(position, fill(Side.SELL, 5, "100"))


def test_a_fill_of_another_symbol_is_refused() -> None:
    other = Fill(Symbol("TCS"), Side.BUY, 1, Decimal(1), Decimal(0), NOON)
    with pytest.raises(ValueError, match="TCS"):
        apply_fill(play([fill(Side.BUY, 1, "100")]), other)


@pytest.mark.parametrize(("quantity", "price", "cost"), [(0, "1", "0"), (-1, "1", "0"), (1, "0", "0"), (1, "1", "-1")])
def test_an_impossible_fill_is_refused(quantity: int, price: str, cost: str) -> None:
    with pytest.raises(ValueError, match="not a fill"):
        fill(Side.BUY, quantity, price, cost)


prices = st.decimals("0.05", 100_000, places=2)
costs = st.decimals(0, 1000, places=2)


@st.composite
def cycles(draw: st.DrawFn) -> list[Fill]:
    """Draw the fills of one position: it never goes below zero, and ends when it is sold out."""
    fills, held = [], 0
    for _ in range(draw(st.integers(1, 8))):
        side = draw(st.sampled_from(Side)) if held else Side.BUY
        quantity = draw(st.integers(1, held if side is Side.SELL else 10_000))
        held += quantity if side is Side.BUY else -quantity
        fills.append(Fill(INFY, side, quantity, draw(prices), draw(costs), NOON))
        if not held:
            break
    return fills


def _sum(fills: list[Fill], side: Side) -> tuple[int, Decimal]:
    mine = [one for one in fills if one.side is side]
    return sum(one.quantity for one in mine), sum((one.quantity * one.price for one in mine), Decimal(0))


@given(cycles())
def test_quantity_is_what_was_bought_less_what_was_sold(fills: list[Fill]) -> None:
    position = play(fills)
    (bought, _), (sold, _) = _sum(fills, Side.BUY), _sum(fills, Side.SELL)
    assert position.quantity == bought - sold
    assert position.entry_quantity == bought
    assert (position.closed_at is None) == (position.quantity > 0)


@given(cycles(), prices)
def test_cash_and_value_are_conserved(fills: list[Fill], price: Decimal) -> None:
    position = play(fills)
    (_, paid), (_, received) = _sum(fills, Side.BUY), _sum(fills, Side.SELL)
    cash = received - paid - sum(one.charges for one in fills)
    gain = position.realized_pnl + unrealized_pnl(position, price)
    assert abs(cash + position.quantity * price - gain) < EXACT
    assert position.charges == sum(one.charges for one in fills)


@given(st.lists(st.tuples(st.integers(1, 10_000), prices), min_size=1, max_size=8))
def test_the_average_is_the_same_in_one_buy_or_in_many(buys: list[tuple[int, Decimal]]) -> None:
    position = play([Fill(INFY, Side.BUY, quantity, price, Decimal(0), NOON) for quantity, price in buys])
    total = sum((quantity * price for quantity, price in buys), Decimal(0))
    assert abs(position.average_price - total / position.quantity) < EXACT
