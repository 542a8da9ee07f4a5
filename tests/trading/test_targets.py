"""The prices a user is shown beside a buy: on the grid, around the close, by the verdict's own terms."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.config import DEFAULTS, TradingConfig
from trading.scores import Verdict
from trading.targets import TradePlan, trade_plan
from trading.values import tick_size

FAR: Mapping[str, float | None] = {"support_distance_pct": 9.0, "dist_from_high_252d_pct": -50.0}


def plan(
    features: Mapping[str, float | None] = FAR,
    verdict: Verdict = Verdict.BUY,
    aligned: float = 0.0,
    excellent: bool = False,
    gain: float | None = None,
    config: TradingConfig = DEFAULTS,
) -> TradePlan:
    return trade_plan(Decimal(100), features, verdict, aligned, excellent, gain, config)


@pytest.mark.parametrize(
    ("support", "low", "high"),
    [(9.0, "99.50", "101.00"), (4.0, "99.25", "100.75"), (0.0, "99.70", "100.50"), (None, "99.50", "101.00")],
)
def test_the_range_lies_at_support_where_it_is_near(support: float | None, low: str, high: str) -> None:
    found = plan({"support_distance_pct": support})
    assert (found.buy_low, found.buy_high) == (Decimal(low), Decimal(high))


@pytest.mark.parametrize(
    ("support", "aligned", "stop"),
    [
        (4.0, 0.0, "92.00"),
        (4.0, 4.0, "94.00"),
        (4.0, 6.0, "94.23"),
        (0.0, 6.0, "97.00"),
        (12.0, 6.0, "94.00"),
        (12.0, 8.0, "95.00"),
    ],
)
def test_the_stop_lies_under_support_where_the_time_frames_agree(support: float, aligned: float, stop: str) -> None:
    assert plan({"support_distance_pct": support}, aligned=aligned).stop == Decimal(stop)


@pytest.mark.parametrize(
    ("verdict", "excellent", "target"),
    [(Verdict.BUY, False, "120.00"), (Verdict.STRONG_BUY, False, "124.00"), (Verdict.STRONG_BUY, True, "128.00")],
)
def test_the_target_is_the_risks_multiple_of_the_verdict(verdict: Verdict, excellent: bool, target: str) -> None:
    found = plan(verdict=verdict, excellent=excellent)
    assert found.target == Decimal(target)
    assert found.risk_reward == pytest.approx(float(found.target - 100) / 8, abs=0.01)


def test_the_configured_percentage_is_the_least_target() -> None:
    floor = replace(DEFAULTS, default_target_pct=0.25, strong_buy_target_pct=0.25, excellent_target_pct=0.25)
    assert plan(config=floor).target == Decimal("125.00")


def test_no_target_lies_far_above_the_years_high_or_under_three_percent() -> None:
    assert plan({**FAR, "dist_from_high_252d_pct": -5.0}).target == Decimal("110.52")
    assert plan({**FAR, "dist_from_high_252d_pct": 4.0}).target == Decimal("103.00")


def test_the_price_models_gain_is_the_target_only_where_asked() -> None:
    asked = replace(DEFAULTS, ml_price_enabled=True)
    assert plan(gain=7.5).source == "rules"
    assert (plan(gain=7.5, config=asked).target, plan(gain=7.5, config=asked).source) == (Decimal("107.50"), "model")


@given(
    st.decimals("1", "50000", places=2),
    st.floats(0, 60),
    st.floats(-90, 0),
    st.floats(0, 10),
    st.sampled_from([Verdict.BUY, Verdict.STRONG_BUY]),
    st.booleans(),
)
def test_prices_are_on_the_grid_and_stand_in_order(
    close: Decimal, support: float, high: float, aligned: float, verdict: Verdict, excellent: bool
) -> None:
    features = {"support_distance_pct": support, "dist_from_high_252d_pct": high}
    found = trade_plan(close, features, verdict, aligned, excellent, None, DEFAULTS)
    for price in (found.buy_low, found.buy_high, found.stop, found.target):
        assert price % tick_size(price) == 0
    assert found.stop < close < found.target or close < 5
    assert found.buy_low <= found.buy_high
