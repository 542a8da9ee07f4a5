from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.charges import Charges, charges
from trading.values import PAISA, Side

TODAY = date(2026, 8, 3)
PARTS = ("brokerage", "stt", "exchange", "sebi", "stamp", "gst", "dp")


def test_a_delivery_buy_pays_tax_stamp_and_exchange_but_no_depository() -> None:
    # 100 shares at 1,000: one lakh of value.
    bought = charges(Side.BUY, 100, Decimal(1000), TODAY)
    expected = ("0", "100", "2.97", "0.10", "15", "0.55", "0")
    assert bought == Charges(*(Decimal(part) for part in expected))
    assert bought.total == Decimal("118.62")


def test_a_delivery_sale_pays_tax_and_depository_but_no_stamp() -> None:
    sold = charges(Side.SELL, 100, Decimal(1000), TODAY)
    assert sold == Charges(*(Decimal(part) for part in ("0", "100", "2.97", "0.10", "0", "0.55", "15.93")))


RATES = [
    (date(2015, 1, 1), "3.25"),
    (date(2020, 12, 31), "3.25"),
    (date(2021, 1, 1), "3.45"),
    (date(2023, 3, 31), "3.45"),
    (date(2023, 4, 1), "3.25"),
    (date(2024, 9, 30), "3.22"),
    (date(2024, 10, 1), "2.97"),
]


@pytest.mark.parametrize(("on", "exchange"), RATES, ids=str)
def test_the_rate_is_that_of_the_day(on: date, exchange: str) -> None:
    assert charges(Side.BUY, 100, Decimal(1000), on).exchange == Decimal(exchange)


sides, quantities = st.sampled_from(Side), st.integers(1, 100_000)
prices = st.decimals("0.05", 100_000, places=2)
days = st.dates(date(2015, 1, 1), date(2026, 12, 31))


@given(sides, quantities, prices, days)
def test_parts_are_whole_paise_and_sum_to_the_total(side: Side, quantity: int, price: Decimal, on: date) -> None:
    cost = charges(side, quantity, price, on)
    parts = [getattr(cost, part) for part in PARTS]
    assert all(part >= 0 and part % PAISA == 0 for part in parts)
    assert cost.total == sum(parts)


@given(sides, quantities, prices, days)
def test_more_shares_never_cost_less(side: Side, quantity: int, price: Decimal, on: date) -> None:
    assert charges(side, quantity + 1, price, on).total >= charges(side, quantity, price, on).total
