"""A test a field: to change it changes an answer of the core. Fields that only a step can read name the step's test."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from tests.dips import DIP
from trading.config import DEFAULTS, LIVE, TradingConfig
from trading.config_changes import changed
from trading.exits import Backdrop, stop_price
from trading.scores import Verdict
from trading.strategies.base import Candidate
from trading.strategies.dip import Dip
from trading.targets import trade_plan
from trading.values import Symbol

ROOT = Path(__file__).parents[2]
CLOSE = Decimal(100)

# field -> the file of the test that changes it: what reads it needs rows.
WITH_ROWS = {
    "paper_trading_initial_capital": "tests/db/test_configs.py",
    "max_portfolio_size": "tests/worker/steps/test_config_of_steps.py",
    "allow_duplicate_recommendations_same_day": "tests/worker/steps/test_config_of_steps.py",
    "exit_on_ema9_or_rsi50": "tests/worker/steps/test_sell_monitor.py",
}

Answer = Callable[[TradingConfig], object]


@dataclass(frozen=True, slots=True)
class Case:
    """A field's other value, what is asked under both, and what else must be set for it to matter."""

    value: object
    answer: Answer
    base: Mapping[str, object] = field(default_factory=dict)


def share(confidence: float | None = None, predicted_gain: float | None = None, **features: float | None) -> Candidate:
    version = None if confidence is None else "v1"
    return Candidate(Symbol("AAA"), date(2024, 6, 28), CLOSE, {**DIP, **features}, confidence, version, predicted_gain)


def bought(one: Candidate) -> Callable[[TradingConfig], tuple[list[object], list[str]]]:
    """Ask what is ordered: how many, how and by what route; or why nothing is."""

    def answer(config: TradingConfig) -> tuple[list[object], list[str]]:
        decision = Dip().decide([one], config, {})
        orders: list[object] = [(it.quantity, it.order_type, it.limit_price, it.route) for it in decision.intents]
        return orders, [rejection.code for rejection in decision.rejections]

    return answer


def alignment(one: Candidate) -> Answer:
    return lambda config: Dip().assess([one], config)[0].alignment


def chart(**features: float | None) -> Answer:
    return lambda config: Dip().assess([share(**features)], config)[0].chart


def plan(one: Candidate) -> Answer:
    return lambda config: Dip().assess([one], config)[0].plan


def target(verdict: Verdict, aligned: float, *, excellent: bool = False) -> Answer:
    """Ask for the target of a share one percent above its support: near, so that the stop lies at three percent."""
    features = {"support_distance_pct": 1.0, "dist_from_high_252d_pct": None}
    return lambda config: trade_plan(CLOSE, features, verdict, aligned, excellent, None, config).target


def stop(*, falling: bool = False) -> Answer:
    return lambda config: stop_price(CLOSE, Backdrop(Decimal(97), falling), config)


ML = {"ml_enabled": True}
DIRTY = {"gap_frequency_60": 30.0, "extreme_candle_frequency_30": 30.0}
WATCHED = {"rsi": 18.0, "above_ema200": 0.0, "ema50": 80.0, "volume_ratio": 1.0, "support_distance_pct": 9.0}

CASES: dict[str, Case] = {
    "rsi_period": Case(14, lambda config: Dip().parameters(config).hash),
    "rsi_oversold": Case(24, bought(share())),
    "rsi_extreme_oversold": Case(15, bought(share(rsi=18.0, above_ema200=0.0))),
    "rsi_near_oversold": Case(35, alignment(share(rsi=38.0))),
    "min_combined_score": Case(99, bought(share())),
    "user_capital": Case(50_000, bought(share())),
    "max_order_value": Case(40_000, bought(share())),
    "max_position_volume_ratio": Case(0.05, bought(share(avg_volume_50=20_000.0))),
    "min_absolute_avg_volume": Case(2_000_000, bought(share())),
    "chart_quality_enabled": Case(False, bought(share(**DIRTY))),
    "chart_quality_min_score": Case(80, bought(share(gap_frequency_60=30.0))),
    "chart_quality_max_gap_frequency": Case(12, chart(gap_frequency_60=15.0)),
    "chart_quality_min_daily_range_pct": Case(2, chart(avg_range_pct_60=1.5, range_60_pct=10.0)),
    "chart_quality_max_extreme_candle_frequency": Case(12, chart(extreme_candle_frequency_30=15.0)),
    "default_stop_loss_pct": Case(0.08, stop()),
    "tight_stop_loss_pct": Case(0.06, stop(falling=True)),
    "min_stop_loss_pct": Case(0.03, stop(), {"default_stop_loss_pct": 0.08}),
    "default_target_pct": Case(0.11, target(Verdict.BUY, 6)),
    "strong_buy_target_pct": Case(0.14, target(Verdict.STRONG_BUY, 6)),
    "excellent_target_pct": Case(0.18, target(Verdict.STRONG_BUY, 6, excellent=True)),
    "buy_risk_reward": Case(3, target(Verdict.BUY, 0)),
    "strong_buy_risk_reward": Case(3.4, target(Verdict.STRONG_BUY, 0)),
    "excellent_risk_reward": Case(4, target(Verdict.STRONG_BUY, 0, excellent=True)),
    "default_exchange": Case("BSE", bought(share())),
    "default_product": Case("MIS", bought(share())),
    "default_order_type": Case("LIMIT", bought(share())),
    "default_variety": Case("REGULAR", bought(share())),
    "default_validity": Case("IOC", bought(share())),
    "enable_premarket_amo_adjustment": Case(False, bought(share())),
    "ml_enabled": Case(True, bought(share(confidence=0.3))),
    "ml_model_version": Case("v9", bought(share(confidence=0.9)), ML),
    "ml_confidence_threshold": Case(0.7, bought(share(confidence=0.6)), ML),
    "ml_combine_with_rules": Case(False, bought(share(confidence=0.9, **WATCHED)), ML),
    "ml_price_enabled": Case(True, plan(share(predicted_gain=25.0))),
}


def test_every_live_field_has_a_test() -> None:
    assert set(CASES) | set(WITH_ROWS) == LIVE


def test_the_defaults_buy_the_share_that_the_cases_change() -> None:
    orders, codes = bought(share())(DEFAULTS)
    assert (len(orders), codes) == (1, [])


@pytest.mark.parametrize("name", CASES)
def test_to_change_a_field_changes_an_answer(name: str) -> None:
    case = CASES[name]
    before = changed(DEFAULTS, case.base)
    after = changed(before, {name: case.value})
    assert after == replace(before, **{name: getattr(after, name)})
    assert case.answer(before) != case.answer(after)


@pytest.mark.parametrize("name", WITH_ROWS)
def test_a_field_that_needs_rows_has_its_test_among_them(name: str) -> None:
    assert name in (ROOT / WITH_ROWS[name]).read_text(encoding="utf-8")
