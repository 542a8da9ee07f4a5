"""When a held share is sold: at its average, at market once RSI is back, and by a stop only where one was asked for."""

import math
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import numpy as np
import pytest

from trading.bars import Bars, Quote
from trading.config import DEFAULTS, TradingConfig
from trading.exits import Backdrop, ExitReason, Shown, backdrop, exit_rsi, stop_price, target, target_again, to_market
from trading.indicators import ema
from trading.strategies.dip import exit_limit
from trading.values import Symbol

BOUGHT = Decimal(100)
RISING, FALLING = Backdrop(Decimal(60), False), Backdrop(Decimal(60), True)


def config(default: float | None = None, tight: float | None = None, least: float | None = None) -> TradingConfig:
    return replace(DEFAULTS, default_stop_loss_pct=default, tight_stop_loss_pct=tight, min_stop_loss_pct=least)


def shown(closes: list[float], last: str, high: str | None = None, whole: bool = True, open_: str = "100") -> Shown:
    prices = np.array(closes, dtype=np.float64)
    days = np.arange(np.datetime64("2024-03-06") - len(closes), np.datetime64("2024-03-06"))
    bars = Bars(Symbol("AAA"), days, prices, prices, prices, prices, prices)
    top = Decimal(high) if high else max(Decimal(last), Decimal(open_))
    quote = Quote(
        Symbol("AAA"),
        date(2024, 3, 6),
        datetime(2024, 3, 6, tzinfo=UTC),
        Decimal(open_),
        top,
        Decimal(1),
        Decimal(last),
    )
    return Shown(quote, bars, whole)


FLAT = [100.0] * 60
RECOVERED = [*range(76, 100, 2), *[100.0] * 20]


@pytest.mark.parametrize(
    ("wanted", "behind", "price"),
    [
        (config(), RISING, None),
        (config(), FALLING, None),
        (config(default=0.08), RISING, "92"),
        (config(default=0.08), FALLING, "92"),
        (config(default=0.08, tight=0.06), RISING, "92"),
        (config(default=0.08, tight=0.06), FALLING, "94"),
        (config(tight=0.06), RISING, None),
        (config(tight=0.06), FALLING, "94"),
        (config(least=0.03), FALLING, None),
    ],
)
def test_a_stop_left_null_is_off_and_a_tight_one_serves_a_falling_share(
    wanted: TradingConfig, behind: Backdrop, price: str | None
) -> None:
    assert stop_price(BOUGHT, behind, wanted) == (None if price is None else Decimal(price))


@pytest.mark.parametrize(("support", "price"), [("99", "97"), ("97", "95.06"), ("60", "92"), ("120", "97")])
def test_a_least_stop_moves_it_under_the_support_but_never_nearer_than_so(support: str, price: str) -> None:
    behind = Backdrop(Decimal(support), False)
    assert stop_price(BOUGHT, behind, config(default=0.08, least=0.03)) == Decimal(price)


def test_the_backdrop_is_twenty_days_lowest_low_and_the_side_of_the_long_average() -> None:
    assert backdrop(shown([90.0, *[100.0] * 20], "100").bars) == Backdrop(Decimal(100), False)
    assert backdrop(shown([*[100.0] * 20, 90.0], "100").bars) == Backdrop(Decimal(90), True)


@pytest.mark.parametrize(
    ("last", "reason"), [("92.01", None), ("92", ExitReason.STOP_LOSS), ("80", ExitReason.STOP_LOSS)]
)
def test_a_price_at_its_stop_is_sold_whether_or_not_the_day_is_whole(last: str, reason: ExitReason | None) -> None:
    for limit in (None, Decimal(130)):
        for whole in (True, False):
            assert to_market(shown(FLAT, last, whole=whole), BOUGHT, limit, config(default=0.08)) is reason


def test_nobody_is_stopped_out_who_asked_for_no_stop() -> None:
    assert to_market(shown(FLAT, "1"), BOUGHT, Decimal(130), DEFAULTS) is None


def test_a_limit_that_was_touched_is_left_alone() -> None:
    assert to_market(shown(FLAT, "80", high="130"), BOUGHT, Decimal(130), config(default=0.08)) is None


@pytest.mark.parametrize(("whole", "wanted"), [(True, True), (False, True), (True, False)])
def test_a_share_whose_rsi_is_back_is_sold_once_the_bar_is_whole_and_only_if_wanted(whole: bool, wanted: bool) -> None:
    chosen = replace(DEFAULTS, exit_on_ema9_or_rsi50=wanted)
    expected = ExitReason.RSI_EXIT if whole and wanted else None
    assert to_market(shown(RECOVERED, "99.5", whole=whole), BOUGHT, Decimal(130), chosen) is expected


def test_rsi_of_too_few_bars_is_not_known_and_sells_nothing() -> None:
    few = shown(RECOVERED[:9], "99.5")
    assert math.isnan(exit_rsi(few, Decimal(99)))
    assert to_market(few, BOUGHT, Decimal(130), DEFAULTS) is None


def test_a_resized_exit_is_lowered_with_the_price_and_never_raised() -> None:
    average = float(ema(np.array(FLAT), 9)[-1])
    fallen = shown(FLAT, "90", whole=False)
    assert target(fallen) == exit_limit(average, Decimal(100))
    assert target_again(fallen, Decimal(100)) == exit_limit(average, Decimal(90)) == Decimal(98)
    assert target_again(shown(FLAT, "110", whole=False), Decimal(100)) == Decimal(100)


def test_a_whole_days_bar_lowers_no_limit_its_high_may_have_come_before() -> None:
    assert target_again(shown(FLAT, "90", whole=True), Decimal(100)) == Decimal(100)
