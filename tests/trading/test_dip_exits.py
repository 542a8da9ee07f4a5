"""Where and when the dip strategy sells what it holds."""

from datetime import date
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.bars import Bars
from trading.strategies.base import price_of
from trading.strategies.dip import exit_limit, exits_on_rsi, live_ema9, rsi_with
from trading.values import Symbol, tick_size

DAY = date(2024, 6, 28)


@pytest.mark.parametrize(
    ("ema9", "opened", "limit"),
    [
        (100.0, "100", "100.00"),
        (100.0, "90", "98.00"),
        (1003.33, "1000", "1002.60"),
        (249.999, "249.99", "249.99"),
        (260.12345678, "251.07", "258.30"),
        (0.1 + 0.2, "0.30", "0.30"),
    ],
)
def test_the_exit_limit_is_ema9_with_todays_open_floored_to_the_tick(ema9: float, opened: str, limit: str) -> None:
    assert exit_limit(ema9, Decimal(opened)) == Decimal(limit)


@given(st.floats(1, 90_000), st.decimals("1", "90000", places=2))
def test_an_exit_limit_is_on_the_grid_and_never_above_the_average(ema9: float, opened: Decimal) -> None:
    exact = live_ema9(ema9, opened)
    limit = exit_limit(ema9, opened)
    assert limit <= exact < limit + tick_size(exact)
    assert limit % tick_size(exact) == 0


@pytest.mark.parametrize(("value", "sells"), [(49.9, False), (50.0, False), (50.1, True), (float("nan"), False)])
def test_rsi_sells_only_above_fifty(value: float, sells: bool) -> None:
    assert exits_on_rsi(value) is sells


def test_rsi_with_a_last_price_is_what_the_stored_close_will_give() -> None:
    close = 100 * np.exp(np.cumsum(np.random.default_rng(3).normal(0, 0.02, 460)))
    days = np.datetime64(DAY, "D") - np.arange(460)[::-1]
    bars = Bars(Symbol("AAA"), days, close, close, close, close, close)
    exact = np.append(close[:-1], float(price_of(close[-1])))
    whole = Bars(Symbol("AAA"), days, exact, exact, exact, exact, exact)
    stored = rsi_with(whole.window(0, 459), price_of(close[-1]), 10)
    assert stored == pytest.approx(rsi_with(bars.window(60, 459), price_of(close[-1]), 10), abs=1e-9)
    with pytest.raises(ValueError, match=r"AAA: rsi\(10\) needs 10 bars"):
        rsi_with(bars.window(0, 9), Decimal(100), 10)


def test_a_price_that_is_no_number_is_refused() -> None:
    assert price_of(0.1 + 0.2) == Decimal("0.3000")
    with pytest.raises(ValueError, match="not a price: nan"):
        price_of(float("nan"))
