"""The dip strategy: who is a candidate, who is bought, how much, and where it is sold."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.bars import Bars
from trading.config import DEFAULTS, TradingConfig
from trading.features import FeatureTable
from trading.strategies.base import Candidate, Decision, price_of
from trading.strategies.dip import (
    GATE_FEATURES,
    Dip,
    chart_score,
    exit_limit,
    exits_on_rsi,
    live_ema9,
    order_quantity,
    rsi_with,
)
from trading.values import Side, Symbol, tick_size

DAY = date(2024, 6, 28)
CLEAN: Mapping[str, float | None] = {
    "rsi": 25.0,
    "ema9": 104.0,
    "ema200": 90.0,
    "above_ema200": 1.0,
    "vol_ok": 1.0,
    "avg_volume_50": 1_000_000.0,
    "volume_ratio": 1.1,
    "gap_frequency_60": 0.0,
    "avg_range_pct_60": 3.0,
    "range_60_pct": 30.0,
    "extreme_candle_frequency_30": 0.0,
}
NONE: frozenset[Symbol] = frozenset()


def candidate(
    symbol: str = "AAA", close: str = "100", confidence: float | None = None, **features: float | None
) -> Candidate:
    return Candidate(Symbol(symbol), DAY, Decimal(close), {**CLEAN, **features}, confidence)


def with_features(features: Mapping[str, float | None]) -> Candidate:
    return replace(candidate(), features={**CLEAN, **features})


def decide(*candidates: Candidate, config: TradingConfig = DEFAULTS, taken: frozenset[Symbol] = NONE) -> Decision:
    return Dip().decide(candidates, config, taken)


def code_of(one: Candidate, config: TradingConfig = DEFAULTS, taken: frozenset[Symbol] = NONE) -> str | None:
    decision = decide(one, config=config, taken=taken)
    assert len(decision.intents) + len(decision.rejections) == 1
    return decision.rejections[0].code if decision.rejections else None


@pytest.mark.parametrize(
    ("rsi", "above", "is_one"),
    [(49.9, 1.0, True), (50.0, 1.0, False), (29.9, 0.0, True), (30.0, 0.0, False), (np.nan, 1.0, False)],
)
def test_candidates_are_what_the_loosest_configuration_may_buy(rsi: float, above: float, is_one: bool) -> None:
    columns = {"close": np.array([123.456789]), "rsi": np.array([rsi]), "above_ema200": np.array([above])}
    found = Dip().candidates(FeatureTable(DAY, (Symbol("AAA"),), columns))
    assert [one.symbol for one in found] == (["AAA"] if is_one else [])
    assert all(one.close == Decimal("123.4568") and one.features["rsi"] == rsi and one.day == DAY for one in found)


@pytest.mark.parametrize(
    ("features", "code"),
    [
        ({"rsi": 29.99}, None),
        ({"rsi": 30.0}, "not_oversold"),
        ({"rsi": 19.99, "above_ema200": 0.0}, None),
        ({"rsi": 20.0, "above_ema200": 0.0}, "not_oversold"),
        ({"vol_ok": 0.0}, "volume_low"),
        ({"avg_volume_50": 9_999.0}, "illiquid"),
        ({"avg_volume_50": 10_000.0}, None),
        ({"gap_frequency_60": 26.0, "avg_range_pct_60": 0.9, "range_60_pct": 14.0}, "chart_quality"),
        ({"gap_frequency_60": 26.0, "extreme_candle_frequency_30": 11.0}, None),
        ({"rsi": None}, "features_missing"),
        ({"avg_volume_50": None}, "features_missing"),
    ],
)
def test_each_gate_refuses_at_its_limit_and_not_before(features: dict[str, float | None], code: str | None) -> None:
    assert code_of(with_features(features)) == code


GAPPY, WILD = {"gap_frequency_60": 26.0}, {"extreme_candle_frequency_30": 21.0}


@pytest.mark.parametrize(
    ("field", "value", "features", "code"),
    [
        ("rsi_oversold", 40.0, {"rsi": 35.0}, None),
        ("rsi_extreme_oversold", 25.0, {"rsi": 24.0, "above_ema200": 0.0}, None),
        ("min_absolute_avg_volume", 2_000_000, {}, "illiquid"),
        ("chart_quality_enabled", False, {**GAPPY, **WILD}, None),
        ("chart_quality_min_score", 90.0, {"gap_frequency_60": 11.0}, "chart_quality"),
        ("chart_quality_max_gap_frequency", 5.0, {**WILD, "gap_frequency_60": 6.0}, "chart_quality"),
        ("chart_quality_min_daily_range_pct", 4.0, {**GAPPY, "range_60_pct": 14.0}, "chart_quality"),
        (
            "chart_quality_max_extreme_candle_frequency",
            5.0,
            {**GAPPY, "extreme_candle_frequency_30": 6.0},
            "chart_quality",
        ),
        ("user_capital", Decimal(99), {}, "quantity_zero"),
        ("max_order_value", Decimal(99), {}, "quantity_zero"),
        ("max_position_volume_ratio", 0.0, {}, "quantity_zero"),
    ],
)
def test_every_entry_field_of_the_configuration_changes_what_is_bought(
    field: str, value: object, features: dict[str, float | None], code: str | None
) -> None:
    one = with_features(features)
    assert code_of(one, replace(DEFAULTS, **{field: value})) == code  # type: ignore[arg-type]
    assert code_of(one) != code


@pytest.mark.parametrize(
    ("gaps", "spread", "range_60", "extremes", "score"),
    [
        (0, 3, 30, 0, 100),
        (10, 2, 30, 10, 100),
        (11, 3, 30, 0, 85),
        (26, 3, 30, 0, 70),
        (0, 1.9, 30, 0, 90),
        (0, 0.9, 14, 0, 75),
        (0, 0.9, 16, 0, 90),
        (0, 3, 30, 11, 85),
        (0, 3, 30, 21, 75),
        (26, 0.9, 14, 21, 20),
    ],
)
def test_the_chart_score_adds_up_its_penalties(
    gaps: float, spread: float, range_60: float, extremes: float, score: float
) -> None:
    names = ("gap_frequency_60", "avg_range_pct_60", "range_60_pct", "extreme_candle_frequency_30")
    columns = dict(zip(names, (np.array([float(v)]) for v in (gaps, spread, range_60, extremes)), strict=True))
    assert chart_score(columns, DEFAULTS).tolist() == [score]


@pytest.mark.parametrize(
    ("enabled", "confidence", "code"),
    [
        (True, 0.49, "ml_confidence"),
        (True, 0.5, None),
        (True, None, None),
        (False, 0.1, None),
        (True, np.nan, "ml_confidence"),
    ],
)
def test_the_model_is_asked_only_where_enabled_and_present(
    enabled: bool, confidence: float | None, code: str | None
) -> None:
    assert code_of(candidate(confidence=confidence), replace(DEFAULTS, ml_enabled=enabled)) == code


def test_a_chart_that_fails_is_refused_before_the_model_is_asked() -> None:
    one = candidate(confidence=0.1, gap_frequency_60=90.0, extreme_candle_frequency_30=90.0)
    assert code_of(one, replace(DEFAULTS, ml_enabled=True)) == "chart_quality"


def test_a_symbol_held_or_on_order_is_not_bought_again() -> None:
    assert code_of(candidate("AAA"), taken=frozenset({Symbol("AAA")})) == "already_held"
    assert code_of(candidate("AAA"), taken=frozenset({Symbol("BBB")})) is None


def test_without_a_model_the_most_oversold_comes_first_and_ties_go_by_symbol() -> None:
    decision = decide(candidate("CCC", rsi=20.0), candidate("BBB", rsi=25.0), candidate("AAA", rsi=25.0))
    assert [(intent.symbol, intent.rank) for intent in decision.intents] == [("CCC", 1), ("AAA", 2), ("BBB", 3)]


def test_with_a_model_the_most_confident_comes_first() -> None:
    ones = (candidate("AAA", confidence=0.6), candidate("BBB", confidence=0.9, rsi=29.0), candidate("CCC", rsi=10.0))
    with_model = decide(*ones, config=replace(DEFAULTS, ml_enabled=True))
    assert [intent.symbol for intent in with_model.intents] == ["BBB", "AAA", "CCC"]
    assert [intent.symbol for intent in decide(*ones).intents] == ["CCC", "AAA", "BBB"]


def test_a_buy_is_a_market_order_sized_at_the_close() -> None:
    (intent,) = decide(candidate(close="1234.56")).intents
    assert (intent.side, intent.order_type, intent.limit_price) == (Side.BUY, "market", None)
    assert (intent.quantity, intent.reference_price, intent.leg) == (162, Decimal("1234.56"), "entry")
    assert intent.facts["rsi"] == 25.0
    assert intent.facts["close"] == "1234.56"


def test_a_refusal_carries_the_facts_behind_it() -> None:
    (rejection,) = decide(candidate(rsi=45.0, gap_frequency_60=11.0)).rejections
    assert (rejection.symbol, rejection.code) == ("AAA", "not_oversold")
    assert (rejection.facts["rsi"], rejection.facts["chart_score"]) == (45.0, 85.0)


def test_one_share_dearer_than_the_capital_is_not_bought() -> None:
    config = replace(DEFAULTS, user_capital=Decimal(100_000))
    assert order_quantity(Decimal(150_000), 1e6, config) == 0
    assert code_of(candidate(close="150000"), config) == "quantity_zero"


@given(
    close=st.decimals("0.05", "90000", places=2),
    volume=st.floats(0, 1e8),
    capital=st.integers(1, 10_000_000),
    most=st.integers(1, 10_000_000),
    ratio=st.floats(0, 1),
)
def test_an_order_never_exceeds_any_of_its_three_limits(
    close: Decimal, volume: float, capital: int, most: int, ratio: float
) -> None:
    config = replace(
        DEFAULTS, user_capital=Decimal(capital), max_order_value=Decimal(most), max_position_volume_ratio=ratio
    )
    quantity = order_quantity(close, volume, config)
    assert quantity >= 0
    assert quantity * close <= min(capital, most)
    assert quantity <= Decimal(volume) * Decimal(str(ratio))


def test_nothing_to_decide_gives_nothing() -> None:
    assert decide() == Decision((), ())


def test_gates_read_only_what_a_candidate_must_have() -> None:
    assert set(GATE_FEATURES) <= set(CLEAN)


def test_the_parameters_follow_the_configuration() -> None:
    assert Dip().parameters(replace(DEFAULTS, rsi_period=14)).rsi_period == 14


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
