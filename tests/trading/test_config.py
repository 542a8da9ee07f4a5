"""A configuration is checked as a whole: every field against its range, and every pair against each other."""

from dataclasses import fields, replace
from decimal import Decimal

import pytest

from trading.config import (
    CHOICES,
    DEFAULTS,
    GROUPS,
    LIVE,
    OPTIONAL,
    RANGES,
    RESERVED,
    ConfigError,
    TradingConfig,
    check_config,
)  # fmt: skip
from trading.config_changes import PRESETS, changed, difference, from_json, to_json


def test_the_defaults_are_those_of_the_plan() -> None:
    assert check_config(DEFAULTS) is DEFAULTS
    assert (DEFAULTS.user_capital, DEFAULTS.rsi_near_oversold, DEFAULTS.min_combined_score) == (
        Decimal(200_000),
        40.0,
        25,
    )
    assert (DEFAULTS.default_stop_loss_pct, DEFAULTS.ml_confidence_threshold) == (None, 0.5)
    assert (DEFAULTS.default_exchange, DEFAULTS.default_product, DEFAULTS.default_variety) == ("NSE", "CNC", "AMO")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"rsi_extreme_oversold": 30}, ("rsi_extreme_oversold", "rsi_oversold")),
        ({"rsi_oversold": 40}, ("rsi_oversold", "rsi_near_oversold")),
        (
            {"default_stop_loss_pct": 0.05, "tight_stop_loss_pct": 0.06},
            ("tight_stop_loss_pct", "default_stop_loss_pct"),
        ),
        ({"tight_stop_loss_pct": 0.03, "min_stop_loss_pct": 0.03}, ("min_stop_loss_pct", "tight_stop_loss_pct")),
        ({"default_stop_loss_pct": 0.03, "min_stop_loss_pct": 0.08}, ("min_stop_loss_pct", "default_stop_loss_pct")),
        ({"default_target_pct": 0.13}, ("default_target_pct", "strong_buy_target_pct")),
        ({"strong_buy_target_pct": 0.16}, ("strong_buy_target_pct", "excellent_target_pct")),
        ({"buy_risk_reward": 3.1}, ("buy_risk_reward", "strong_buy_risk_reward")),
        ({"strong_buy_risk_reward": 4}, ("strong_buy_risk_reward", "excellent_risk_reward")),
        ({"news_sentiment_neg_threshold": 0.3}, ("news_sentiment_neg_threshold", "news_sentiment_pos_threshold")),
    ],
)
def test_two_fields_that_disagree_are_both_named(changes: dict[str, object], named: tuple[str, str]) -> None:
    with pytest.raises(ConfigError) as refused:
        changed(DEFAULTS, changes)
    assert all(name in str(refused.value) for name in named)


def test_a_pair_is_held_against_what_is_stored_and_not_only_against_the_same_request() -> None:
    stored = changed(DEFAULTS, {"default_stop_loss_pct": 0.08})
    with pytest.raises(ConfigError, match="default_stop_loss_pct"):
        changed(stored, {"tight_stop_loss_pct": 0.09})


@pytest.mark.parametrize("name", sorted(RANGES))
def test_a_value_outside_its_range_is_refused_with_the_range(name: str) -> None:
    for beyond in (RANGES[name][0] - 1, RANGES[name][1] + 1):
        with pytest.raises(ConfigError, match=f"{name} = "):
            changed(DEFAULTS, {name: beyond})


@pytest.mark.parametrize("name", sorted(CHOICES))
def test_a_word_that_is_not_known_is_refused_with_those_that_are(name: str) -> None:
    with pytest.raises(ConfigError, match=CHOICES[name][0]):
        changed(DEFAULTS, {name: "ROCKET"})
    assert getattr(changed(DEFAULTS, {name: CHOICES[name][-1].lower()}), name) == CHOICES[name][-1]


@pytest.mark.parametrize("value", [True, "nan", "inf", float("nan"), "ten", [], "1e400", 2.5])
def test_what_is_no_whole_number_is_refused_where_one_is_wanted(value: object) -> None:
    with pytest.raises(ConfigError, match="rsi_period"):
        changed(DEFAULTS, {"rsi_period": value})


@pytest.mark.parametrize("value", ["1,5", "15,00", "1,,000", "100.005", "1e-3", True, "1e400"])
def test_rupees_are_never_guessed_at(value: object) -> None:
    with pytest.raises(ConfigError, match="user_capital"):
        changed(DEFAULTS, {"user_capital": value})


@pytest.mark.parametrize("name", ["default_stop_loss_pct", "tight_stop_loss_pct", "min_stop_loss_pct"])
def test_a_stop_loss_of_nothing_or_in_percent_is_refused_with_how_to_write_it(name: str) -> None:
    for value in (0, 8):
        with pytest.raises(ConfigError, match="or off; it is a ratio"):
            changed(DEFAULTS, {name: value})


def test_text_becomes_the_fields_own_kind() -> None:
    config = changed(
        DEFAULTS, {"user_capital": "1,50,000", "rsi_period": "14", "ml_enabled": "yes", "default_stop_loss_pct": "0.08"}
    )
    assert (config.user_capital, config.rsi_period, config.ml_enabled) == (Decimal(150_000), 14, True)
    assert isinstance(config.user_capital, Decimal)
    assert config.default_stop_loss_pct == 0.08


@pytest.mark.parametrize("name", sorted(OPTIONAL))
def test_nothing_clears_a_field_that_may_be_off_and_no_default_comes_in_its_place(name: str) -> None:
    given = changed(DEFAULTS, {name: "v3" if name == "ml_model_version" else 0.05})
    assert getattr(given, name) is not None
    for nothing in (None, "off", "none"):
        assert getattr(changed(given, {name: nothing}), name) is None


@pytest.mark.parametrize("name", sorted({field.name for field in fields(TradingConfig)} - OPTIONAL))
def test_a_field_that_is_needed_cannot_be_cleared(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} = None"):
        changed(DEFAULTS, {name: None})


def test_a_field_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match="no such field"):
        changed(DEFAULTS, {"rsi_perod": 10})


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_fits_the_defaults(name: str) -> None:
    assert changed(DEFAULTS, PRESETS[name]) == replace(DEFAULTS, **dict(PRESETS[name]))  # type: ignore[arg-type]


def test_the_moderate_preset_is_the_default() -> None:
    assert changed(DEFAULTS, PRESETS["moderate"]) == DEFAULTS


def test_a_stored_configuration_reads_back_as_it_was_and_an_older_one_takes_the_defaults() -> None:
    config = changed(DEFAULTS, PRESETS["aggressive"])
    stored = to_json(config)
    assert from_json(stored) == config
    assert from_json({"rsi_period": 14, "gone_field": 1}) == replace(DEFAULTS, rsi_period=14)
    assert difference(DEFAULTS, config)["max_portfolio_size"] == [6, 8]


def test_every_field_is_shown_once_under_its_purpose() -> None:
    shown = [name for names in GROUPS.values() for name in names]
    assert sorted(shown) == sorted(field.name for field in fields(TradingConfig))


def test_only_news_is_reserved() -> None:
    assert {field.name for field in fields(TradingConfig)} == LIVE | RESERVED
    assert {name.split("_")[0] for name in RESERVED} == {"news"}
