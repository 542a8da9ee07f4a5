"""What a dip is worth: each score at its thresholds, and the one verdict that decides."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.bars import Floats
from trading.config import DEFAULTS
from trading.scores import (
    SCORE_FEATURES,
    Scores,
    Verdict,
    alignment,
    alignment_label,
    excellent_dip,
    final_verdict,
    model_verdict,
    priority,
    record_score,
    rule_verdict,
    scores,
    strength,
)

NAN = float("nan")
FLAT = {
    "rsi": 35.0,
    "above_ema200": 0.0,
    "ema50": 90.0,
    "ema200": 100.0,
    "ema9_distance_pct": 0.0,
    "vol_ok": 1.0,
    "volume_ratio": 1.0,
    "volume_green_vs_red_ratio": 0.5,
    "consecutive_red_days": 0.0,
    "support_distance_pct": 9.0,
    "year_low_distance_pct": 30.0,
    "has_hammer": 0.0,
    "has_bullish_engulfing": 0.0,
    "has_divergence": 0.0,
    "dip_count_250": 0.0,
    "dip_wins_250": 0.0,
    "dip_gain_pct_250": 0.0,
    "hold_pct_250": 0.0,
}
UP = {"above_ema200": 1.0, "ema50": 110.0}


def columns(**features: float) -> dict[str, Floats]:
    return {name: np.array([{**FLAT, **features}[name]]) for name in SCORE_FEATURES}


def scored(**features: float) -> Scores:
    return scores(columns(**features), np.array([True]), DEFAULTS)


@pytest.mark.parametrize(
    ("features", "points"),
    [
        ({"rsi": 41.0}, 0),
        ({}, 1),
        ({"rsi": 29.9}, 2),
        ({"rsi": 19.9}, 3),
        ({**UP}, 2),
        ({**UP, "year_low_distance_pct": 5.0}, 3),
        ({"year_low_distance_pct": 5.0}, 1),
        ({"support_distance_pct": 5.0}, 2),
        ({"support_distance_pct": 3.0}, 3),
        ({"volume_green_vs_red_ratio": 1.0}, 2),
        ({"volume_green_vs_red_ratio": 1.5}, 3),
        ({"consecutive_red_days": 3.0}, 2),
        ({"ema9_distance_pct": -3.0}, 1),
        ({**UP, "ema9_distance_pct": -3.0}, 3),
        ({"rsi": NAN, "support_distance_pct": NAN}, 0),
    ],
)
def test_each_time_frame_adds_its_points(features: dict[str, float], points: float) -> None:
    assert alignment(columns(**features), DEFAULTS).tolist() == [points]


def test_all_frames_together_stop_at_ten() -> None:
    best = {**UP, "rsi": 10.0, "year_low_distance_pct": 1.0, "support_distance_pct": 1.0, "consecutive_red_days": 5.0}
    full = columns(**best, volume_green_vs_red_ratio=2.0, ema9_distance_pct=-5.0)
    assert alignment(full, DEFAULTS).tolist() == [10.0]
    assert [alignment_label(value) for value in (10, 7.9, 4, 3.9, 0)] == ["excellent", "good", "fair", "weak", "poor"]


@pytest.mark.parametrize(
    ("entry", "features", "aligned", "verdict"),
    [
        (True, {**UP}, 4.0, Verdict.BUY),
        (True, {**UP}, 8.0, Verdict.STRONG_BUY),
        (True, {**UP, "rsi": 19.0, "support_distance_pct": 2.0}, 4.0, Verdict.STRONG_BUY),
        (True, {}, 5.9, Verdict.WATCH),
        (True, {}, 8.0, Verdict.BUY),
        (True, {"has_hammer": 1.0}, 0.0, Verdict.BUY),
        (True, {"has_bullish_engulfing": 1.0}, 0.0, Verdict.BUY),
        (True, {"has_divergence": 1.0}, 0.0, Verdict.BUY),
        (True, {"volume_ratio": 1.2}, 0.0, Verdict.BUY),
        (False, {**UP}, 9.0, Verdict.AVOID),
        (False, {"has_hammer": 1.0}, 0.0, Verdict.WATCH),
        (False, {"has_hammer": 1.0, "vol_ok": 0.0}, 0.0, Verdict.AVOID),
    ],
)
def test_the_rules_name_one_verdict(entry: bool, features: dict[str, float], aligned: float, verdict: Verdict) -> None:
    given_columns = columns(**features)
    excellent = excellent_dip(given_columns, DEFAULTS)
    found = rule_verdict(given_columns, np.array([entry]), np.array([aligned]), excellent)
    assert Verdict(int(found[0])) is verdict


@pytest.mark.parametrize(
    ("features", "rule", "aligned", "points"),
    [
        ({}, Verdict.AVOID, 0.0, 0.0),
        ({}, Verdict.BUY, 0.0, 5.0),
        ({}, Verdict.STRONG_BUY, 0.0, 10.0),
        ({"rsi": 29.0}, Verdict.BUY, 4.0, 9.0),
        ({"rsi": 24.0}, Verdict.BUY, 6.0, 12.0),
        ({"rsi": 19.0}, Verdict.BUY, 8.0, 16.0),
        ({"has_hammer": 1.0, "has_divergence": 1.0, "volume_ratio": 1.2}, Verdict.BUY, 0.0, 10.0),
        (
            {"rsi": 1.0, "has_hammer": 1.0, "has_divergence": 1.0, "has_bullish_engulfing": 1.0, "volume_ratio": 2.0},
            Verdict.STRONG_BUY,
            9.0,
            25.0,
        ),
    ],
)
def test_strength_adds_up_to_twenty_five(
    features: dict[str, float], rule: Verdict, aligned: float, points: float
) -> None:
    found = strength(columns(**features), np.array([int(rule)]), np.array([aligned]), DEFAULTS)
    assert found.tolist() == [points]


@pytest.mark.parametrize(
    ("count", "wins", "gain", "hold", "score"),
    [
        (0, 0, 0.0, 0.0, NAN),
        (4, 4, 10.0, 10.0, 0.4 * 50 + 40 + 10),
        (4, 2, 30.0, 30.0, 0.4 * 100 + 20 + 10),
        (4, 0, -20.0, 20.0, 0.0),
        (4, 4, 20.0, 0.0, 0.4 * 75 + 40 + 20),
        (1, 1, 10.0, 10.0, 0.9 * 70),
        (4, 4, 10.0, NAN, 70.0),
    ],
)
def test_the_record_weighs_gains_winners_and_the_lead_over_holding(
    count: float, wins: float, gain: float, hold: float, score: float
) -> None:
    with np.errstate(invalid="ignore"):
        found = record_score(columns(dip_count_250=count, dip_wins_250=wins, dip_gain_pct_250=gain, hold_pct_250=hold))
    assert found.tolist() == [pytest.approx(score, nan_ok=True)]


@pytest.mark.parametrize(
    ("rsi", "count", "past", "combined", "verdict"),
    [
        (35.0, 5, 60.0, 35.0, Verdict.STRONG_BUY),
        (35.0, 5, 59.0, 59.0, Verdict.BUY),
        (35.0, 5, 0.0, 60.0, Verdict.STRONG_BUY),
        (35.0, 5, 35.0, 22.0, Verdict.BUY),
        (35.0, 5, 34.0, 34.0, Verdict.WATCH),
        (35.0, 4, 60.0, 44.0, Verdict.BUY),
        (35.0, 4, 39.0, 44.0, Verdict.WATCH),
        (29.0, 5, 31.6, 20.0, Verdict.BUY),
        (19.0, 5, 24.6, 15.5, Verdict.BUY),
        (35.0, 0, NAN, 10.0, Verdict.BUY),
    ],
)
def test_the_record_judges_the_rules_verdict_again_and_deep_dips_lower_the_bar(
    rsi: float, count: float, past: float, combined: float, verdict: Verdict
) -> None:
    found = final_verdict(
        columns(rsi=rsi, dip_count_250=count), np.array([int(Verdict.BUY)]), np.array([past]), np.array([combined])
    )
    assert Verdict(int(found[0])) is verdict


def test_a_good_record_makes_no_buy_of_what_the_rules_only_watch() -> None:
    found = scored(dip_count_250=6.0, dip_wins_250=6.0, dip_gain_pct_250=40.0, rsi=15.0)
    assert (Verdict(int(found.rule[0])), Verdict(int(found.final[0]))) == (Verdict.WATCH, Verdict.WATCH)


def test_without_a_record_strength_speaks_alone_on_its_scale() -> None:
    found = scored(**UP, rsi=29.0)
    assert np.isnan(found.record[0])
    assert found.combined.tolist() == [found.strength[0] * 4]
    known = scored(**UP, rsi=29.0, dip_count_250=4.0, dip_wins_250=4.0, dip_gain_pct_250=10.0)
    assert known.combined[0] == (known.strength[0] * 4 + known.record[0]) / 2


@given(st.lists(st.one_of(st.floats(-1e6, 1e6), st.just(NAN)), min_size=18, max_size=18), st.booleans())
def test_whatever_the_features_scores_stay_in_their_ranges(values: list[float], entry: bool) -> None:
    given_columns = {name: np.array([value]) for name, value in zip(SCORE_FEATURES, values, strict=True)}
    found = scores(given_columns, np.array([entry]), DEFAULTS)
    assert 0 <= found.alignment[0] <= 10
    assert 0 <= found.strength[0] <= 25
    assert 0 <= found.combined[0] <= 100
    if not entry:
        assert found.final[0] < Verdict.BUY


@pytest.mark.parametrize(
    ("confidence", "verdict"),
    [(0.49, Verdict.AVOID), (0.5, Verdict.BUY), (0.7, Verdict.STRONG_BUY), (NAN, Verdict.AVOID)],
)
def test_a_model_speaks_from_the_users_threshold_on(confidence: float, verdict: Verdict) -> None:
    assert model_verdict(np.array([confidence]), DEFAULTS).tolist() == [int(verdict)]
    strict = replace(DEFAULTS, ml_confidence_threshold=0.8)
    assert model_verdict(np.array([0.79]), strict).tolist() == [int(Verdict.AVOID)]


def test_priority_rises_with_reward_depth_volume_and_confidence() -> None:
    def of(reward: float, confidence: float, **features: float) -> float:
        given_columns = columns(**features)
        found = scores(given_columns, np.array([True]), DEFAULTS)
        return float(priority(given_columns, found, np.array([reward]), np.array([confidence]), np.array([100.0]))[0])

    plain = of(1.5, NAN, rsi=30.0)
    assert of(4.0, NAN, rsi=30.0) == plain + 30
    assert of(1.5, NAN, rsi=30.0, volume_ratio=1.5) == plain + 10
    assert of(1.5, 0.7, rsi=30.0) == plain + 20
    assert of(NAN, NAN, rsi=30.0) == plain - 10
    assert of(1.5, NAN, rsi=15.0) > of(1.5, NAN, rsi=20.0) > plain
