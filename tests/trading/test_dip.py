"""The dip strategy: who is a candidate, who is bought, and how much."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.config import DEFAULTS, TradingConfig
from trading.features import FeatureTable
from trading.order_form import Route, order_quantity
from trading.reentry import Ladder
from trading.strategies.base import Candidate, Decision, Held, price_of
from trading.strategies.dip import Dip
from trading.strategies.dip_gates import GATE_FEATURES, chart_score
from trading.values import Side, Symbol, tick_size

DAY = date(2024, 6, 28)
CLEAN: Mapping[str, float | None] = {
    "rsi": 25.0,
    "ema9": 104.0,
    "ema50": 100.0,
    "ema200": 90.0,
    "ema9_distance_pct": -3.8,
    "support_distance_pct": 4.0,
    "year_low_distance_pct": 20.0,
    "dist_from_high_252d_pct": -10.0,
    "volume_green_vs_red_ratio": 0.9,
    "consecutive_red_days": 2.0,
    "has_hammer": 0.0,
    "has_bullish_engulfing": 0.0,
    "has_divergence": 0.0,
    "dip_count_250": 0.0,
    "dip_wins_250": 0.0,
    "dip_gain_pct_250": 0.0,
    "hold_pct_250": 5.0,
    "above_ema200": 1.0,
    "vol_ok": 1.0,
    "avg_volume_50": 1_000_000.0,
    "volume_ratio": 1.1,
    "gap_frequency_60": 0.0,
    "avg_range_pct_60": 3.0,
    "range_60_pct": 30.0,
    "extreme_candle_frequency_30": 0.0,
}
NONE: Mapping[Symbol, str] = {}
A = Symbol("AAA")


def candidate(
    symbol: str = "AAA", close: str = "100", confidence: float | None = None, **features: float | None
) -> Candidate:
    return Candidate(Symbol(symbol), DAY, Decimal(close), {**CLEAN, **features}, confidence)


def with_features(features: Mapping[str, float | None]) -> Candidate:
    return replace(candidate(), features={**CLEAN, **features})


def decide(*candidates: Candidate, config: TradingConfig = DEFAULTS, excluded: Mapping[Symbol, str] = NONE) -> Decision:
    return Dip().decide(candidates, config, excluded)


def code_of(one: Candidate, config: TradingConfig = DEFAULTS, excluded: Mapping[Symbol, str] = NONE) -> str | None:
    decision = decide(one, config=config, excluded=excluded)
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
        ({"rsi": 19.99, "above_ema200": 0.0, "has_hammer": 1.0}, None),
        ({"rsi": 19.99, "above_ema200": 0.0}, "verdict"),
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
        ("rsi_extreme_oversold", 25.0, {"rsi": 24.0, "above_ema200": 0.0, "has_hammer": 1.0}, None),
        ("min_combined_score", 60, {}, "combined_score"),
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


def test_an_excluded_symbol_is_not_bought_and_its_code_says_why() -> None:
    assert code_of(candidate("AAA"), excluded={A: "already_held"}) == "already_held"
    assert code_of(candidate("AAA"), excluded={Symbol("BBB"): "already_held"}) is None


def test_without_a_model_the_higher_priority_comes_first() -> None:
    decision = decide(candidate("AAA", rsi=21.0), candidate("BBB", rsi=24.0, volume_ratio=1.6, has_hammer=1.0))
    assert [intent.symbol for intent in decision.intents] == ["BBB", "AAA"]


def test_without_a_model_the_most_oversold_comes_first_and_ties_go_by_symbol() -> None:
    decision = decide(candidate("CCC", rsi=20.0), candidate("BBB", rsi=25.0), candidate("AAA", rsi=25.0))
    assert [(intent.symbol, intent.rank) for intent in decision.intents] == [("CCC", 1), ("AAA", 2), ("BBB", 3)]


def test_with_a_model_the_most_confident_comes_first() -> None:
    ones = (candidate("AAA", confidence=0.6), candidate("BBB", confidence=0.9, rsi=29.0), candidate("CCC", rsi=10.0))
    with_model = decide(*ones, config=replace(DEFAULTS, ml_enabled=True))
    assert [intent.symbol for intent in with_model.intents] == ["BBB", "AAA", "CCC"]
    assert [intent.symbol for intent in decide(*ones).intents] == ["CCC", "AAA", "BBB"]


PLAIN = replace(DEFAULTS, enable_premarket_amo_adjustment=False)


def test_a_buy_is_a_market_order_sized_at_the_close() -> None:
    (intent,) = decide(candidate(close="1234.56"), config=PLAIN).intents
    assert (intent.side, intent.order_type, intent.limit_price) == (Side.BUY, "market", None)
    assert (intent.quantity, intent.reference_price, intent.leg) == (162, Decimal("1234.56"), "entry")
    assert intent.route == Route("amo", "NSE", "CNC", "DAY")
    assert intent.facts["rsi"] == 25.0
    assert intent.facts["close"] == "1234.56"


@pytest.mark.parametrize(
    ("changes", "ema9", "limit", "variety"),
    [
        ({}, 104.0, "102.96", "amo"),
        ({"default_order_type": "LIMIT"}, 104.0, "101.00", "amo"),
        ({"default_order_type": "LIMIT"}, 101.0, "99.99", "amo"),
        ({"default_order_type": "LIMIT", "enable_premarket_amo_adjustment": False}, 101.0, "101.00", "amo"),
        ({"default_variety": "REGULAR"}, 104.0, None, "regular"),
        ({"default_variety": "REGULAR", "default_order_type": "LIMIT"}, 101.0, "101.00", "regular"),
    ],
)
def test_the_form_of_a_buy_follows_the_configuration(
    changes: dict[str, object], ema9: float, limit: str | None, variety: str
) -> None:
    (intent,) = decide(candidate(ema9=ema9), config=replace(DEFAULTS, **changes)).intents  # type: ignore[arg-type]
    assert intent.limit_price == (None if limit is None else Decimal(limit))
    assert (intent.order_type, intent.route.variety) == ("market" if limit is None else "limit", variety)


@given(st.decimals("1", "90000", places=2), st.floats(1, 90_000))
def test_a_buy_limit_is_on_the_grid_and_never_above_its_cap(close: Decimal, ema9: float) -> None:
    config = replace(DEFAULTS, default_order_type="LIMIT", user_capital=Decimal(10_000_000))
    for intent in decide(candidate(close=str(close), ema9=ema9), config=config).intents:
        limit = intent.limit_price
        assert limit is not None
        assert limit % tick_size(limit) == 0
        assert limit <= min(close * Decimal("1.01"), price_of(ema9) * Decimal("0.99"))
        assert intent.quantity * limit <= config.max_order_value


@pytest.mark.parametrize(
    ("field", "value"), [("default_exchange", "BSE"), ("default_product", "MIS"), ("default_validity", "IOC")]
)
def test_the_route_is_carried_as_configured_and_never_replaced(field: str, value: str) -> None:
    (intent,) = decide(candidate(), config=replace(DEFAULTS, **{field: value})).intents  # type: ignore[arg-type]
    assert value in (intent.route.exchange, intent.route.product, intent.route.validity)


def test_a_verdict_of_watch_is_not_bought_whatever_another_verdict_says() -> None:
    poor = candidate(dip_count_250=6.0, dip_wins_250=1.0, dip_gain_pct_250=-20.0, rsi=29.0)
    (found,) = Dip().assess([poor], DEFAULTS)
    assert (found.rule.word, found.final.word, found.code) == ("buy", "watch", "verdict")
    sure = replace(poor, confidence=0.9)
    assert code_of(sure, replace(DEFAULTS, ml_enabled=True)) == "verdict"


def test_without_the_rules_the_models_confidence_alone_decides() -> None:
    alone = replace(DEFAULTS, ml_enabled=True, ml_combine_with_rules=False, min_combined_score=100)
    poor = candidate(dip_count_250=6.0, dip_wins_250=1.0, dip_gain_pct_250=-20.0, rsi=29.0)
    assert code_of(replace(poor, confidence=0.6), alone) is None
    assert code_of(replace(poor, confidence=0.4), alone) == "ml_confidence"
    assert code_of(poor, alone) == "verdict"


def test_a_pinned_version_alone_has_a_say() -> None:
    pinned = replace(DEFAULTS, ml_enabled=True, ml_model_version="v1")
    one = replace(candidate(confidence=0.9), model_version="v2")
    assert code_of(one, pinned) == "ml_version_missing"
    assert code_of(replace(one, pinned={"v1": 0.3}), pinned) == "ml_confidence"
    (intent,) = decide(replace(one, pinned={"v1": 0.6}), config=pinned).intents
    assert (intent.facts["model_version"], intent.facts["confidence"]) == ("v1", 0.6)
    assert code_of(one, replace(pinned, ml_model_version="v2")) is None


def plan_of(one: Candidate, **changes: object) -> Mapping[str, object]:
    (intent,) = decide(one, config=replace(DEFAULTS, **changes)).intents  # type: ignore[arg-type]
    plan = intent.facts["plan"]
    assert isinstance(plan, Mapping)
    return plan


@pytest.mark.parametrize(
    ("features", "field", "value"),
    [
        ({}, "default_target_pct", 0.12),
        ({}, "buy_risk_reward", 2.6),
        ({"dip_count_250": 6.0, "dip_wins_250": 6.0, "dip_gain_pct_250": 30.0}, "strong_buy_target_pct", 0.145),
        ({"dip_count_250": 6.0, "dip_wins_250": 6.0, "dip_gain_pct_250": 30.0}, "strong_buy_risk_reward", 2.0),
        ({"rsi": 15.0, "support_distance_pct": 1.0}, "excellent_target_pct", 0.158),
        ({"rsi": 15.0, "support_distance_pct": 1.0}, "excellent_risk_reward", 3.9),
    ],
)
def test_targets_and_risk_rewards_change_the_target_shown(
    features: dict[str, float | None], field: str, value: float
) -> None:
    flat = {"buy_risk_reward": 1.0, "strong_buy_risk_reward": 1.0, "excellent_risk_reward": 1.0}
    small = {"default_target_pct": 0.01, "strong_buy_target_pct": 0.01, "excellent_target_pct": 0.01}
    others = flat if field.endswith("pct") else small
    one = with_features(features)
    assert plan_of(one, **others)["target"] != plan_of(one, **{**others, field: value})["target"]


def test_the_price_models_target_is_shown_only_where_asked() -> None:
    one = replace(candidate(), predicted_gain=7.0)
    assert plan_of(one)["target_source"] == "rules"
    shown = plan_of(one, ml_price_enabled=True)
    assert (shown["target"], shown["target_source"]) == ("107.00", "model")
    assert plan_of(candidate(), ml_price_enabled=True)["target_source"] == "rules"


def test_near_oversold_counts_toward_the_alignment() -> None:
    (found,) = Dip().assess([candidate(rsi=38.0)], DEFAULTS)
    (narrow,) = Dip().assess([candidate(rsi=38.0)], replace(DEFAULTS, rsi_near_oversold=35.0))
    assert found.alignment == narrow.alignment + 1


def held(symbol: str, rsi: float, ladder: Ladder | None, close: str = "100") -> Held:
    return Held(candidate(symbol, close, rsi=rsi), ladder)


FIRST = Ladder(0, False, frozenset({30}))
SESSION = date(2024, 7, 1)


def test_a_held_share_is_bought_again_at_its_next_level_the_most_oversold_first() -> None:
    shares = [held("AAA", 18.0, FIRST), held("BBB", 8.0, FIRST), held("CCC", 25.0, FIRST), held("DDD", 45.0, FIRST)]
    decision = Dip().reenter(shares, DEFAULTS, SESSION, 4)
    assert [(one.symbol, one.leg, one.rank, one.facts["level"]) for one in decision.intents] == [
        ("BBB", "reentry-0-10", 4, 10),
        ("AAA", "reentry-0-20", 5, 20),
    ]
    assert [(one.symbol, one.code, one.leg) for one in decision.rejections] == [("CCC", "level_taken", "reentry")]


def test_a_position_without_its_entrys_rsi_is_not_averaged_down() -> None:
    decision = Dip().reenter([held("AAA", 8.0, None)], DEFAULTS, SESSION, 1)
    assert [one.code for one in decision.rejections] == ["entry_rsi_missing"]


def test_a_re_entry_has_the_form_and_the_size_of_any_buy() -> None:
    (intent,) = Dip().reenter([held("AAA", 18.0, FIRST)], DEFAULTS, SESSION, 1).intents
    assert (intent.quantity, intent.limit_price, intent.reason) == (2000, Decimal("102.96"), "reentry")
    poor = replace(DEFAULTS, user_capital=Decimal(50))
    assert [one.code for one in Dip().reenter([held("AAA", 18.0, FIRST)], poor, SESSION, 1).rejections] == [
        "quantity_zero"
    ]


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
