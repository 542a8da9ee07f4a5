"""Changes to a configuration: values of any form made into the field's own, presets, and what differs."""

import re
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from decimal import Decimal, InvalidOperation
from math import isfinite
from typing import Any

from trading.config import DEFAULTS, OPTIONAL, ConfigError, TradingConfig, check_config

_KINDS: dict[str, type] = {
    field.name: type(field.default) for field in fields(TradingConfig) if field.default is not None
} | {"default_stop_loss_pct": float, "tight_stop_loss_pct": float, "min_stop_loss_pct": float, "ml_model_version": str}
_YES, _NO, _NONE = {"true", "yes", "on", "1"}, {"false", "no", "off", "0"}, {"", "none", "null", "off"}
_LONGEST_WORD = 16

# Commas stand between groups as people write rupees, 1,50,000 or 150,000; 1,5 is no fifteen.
_GROUPED = re.compile(r"[+-]?\d{1,3}(,\d{2,3})*,\d{3}(\.\d+)?")

# What a preset changes; every other field stays as it is. Source: the predecessor's presets. Its combined scores
# were 60, 50 and 40 beside a default of 25: ours fall from preset to preset, and `moderate` is the default.
PRESETS: dict[str, Mapping[str, object]] = {
    "conservative": {
        "max_portfolio_size": 4,
        "rsi_oversold": 25.0,
        "rsi_extreme_oversold": 15.0,
        "chart_quality_min_score": 60.0,
        "default_target_pct": 0.08,
        "strong_buy_target_pct": 0.10,
        "excellent_target_pct": 0.12,
        "min_combined_score": 60,
    },
    "moderate": {
        "max_portfolio_size": 6,
        "rsi_oversold": 30.0,
        "rsi_extreme_oversold": 20.0,
        "chart_quality_min_score": 50.0,
        "default_target_pct": 0.10,
        "strong_buy_target_pct": 0.12,
        "excellent_target_pct": 0.15,
        "min_combined_score": 25,
    },
    "aggressive": {
        "max_portfolio_size": 8,
        "rsi_oversold": 35.0,
        "rsi_extreme_oversold": 25.0,
        "chart_quality_min_score": 40.0,
        "default_target_pct": 0.12,
        "strong_buy_target_pct": 0.15,
        "excellent_target_pct": 0.18,
        "min_combined_score": 20,
    },
}


def changed(config: TradingConfig, changes: Mapping[str, object]) -> TradingConfig:
    """Return the configuration with some fields changed and all checked. None clears a field that may be off.

    Values may be text, as a command line or JSON gives them. Raises ConfigError naming the field, or both of a pair.
    """
    return check_config(replace(config, **{name: _value(name, value) for name, value in changes.items()}))


def preset(name: str) -> Mapping[str, object]:
    """Return what a preset changes. Raises ConfigError."""
    if name not in PRESETS:
        raise ConfigError("preset", name, f"use one of {', '.join(PRESETS)}")
    return PRESETS[name]


def difference(before: TradingConfig, after: TradingConfig) -> dict[str, list[Any]]:
    """Return the fields that differ: name -> [before, after], as JSON values."""
    old, new = to_json(before), to_json(after)
    return {name: [old[name], new[name]] for name in old if old[name] != new[name]}


def to_json(config: TradingConfig) -> dict[str, Any]:
    """Return the fields as JSON values; rupees are text."""
    return {
        name: format(value.normalize(), "f") if isinstance(value, Decimal) else value
        for name, value in asdict(config).items()
    }


def from_json(values: Mapping[str, Any]) -> TradingConfig:
    """Return a stored configuration; a field that is younger than it has its default."""
    known = {name: _value(name, value) for name, value in values.items() if name in _KINDS}
    return replace(DEFAULTS, **known)


def _value(name: str, value: object) -> Any:
    """Return a value as the field's own kind."""
    if name not in _KINDS:
        raise ConfigError(name, value, "there is no such field; `muhurat config show` lists them")
    if value is None or (isinstance(value, str) and name in OPTIONAL and value.strip().lower() in _NONE):
        if name not in OPTIONAL:
            raise ConfigError(name, None, f"it cannot be off; its default is {getattr(DEFAULTS, name)}")
        return None
    kind = _KINDS[name]
    if kind is bool:
        return _truth(name, value)
    if kind is str:
        return _word(name, value)
    return _number(name, value, kind)


def _truth(name: str, value: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in _YES | _NO:
        return value.strip().lower() in _YES
    raise ConfigError(name, value, "use true or false")


def _word(name: str, value: object) -> str:
    word = value.strip() if isinstance(value, str) else ""
    if not word or len(word) > _LONGEST_WORD:
        raise ConfigError(name, value, f"use a word of at most {_LONGEST_WORD} letters")
    return word if name == "ml_model_version" else word.upper()


def _number(name: str, value: object, kind: type) -> int | float | Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        raise ConfigError(name, value, "use a number")
    text = str(value).strip()
    try:
        number = Decimal(text.replace(",", "") if _GROUPED.fullmatch(text) else text)
    except InvalidOperation:
        raise ConfigError(name, value, "use a number") from None
    if not number.is_finite() or not isfinite(float(number)):
        raise ConfigError(name, value, "use a number that is finite")
    if kind is int:
        if number != number.to_integral_value():
            raise ConfigError(name, value, "use a whole number")
        return int(number)
    if kind is float:
        return float(number)
    if (number * 100) % 1:
        raise ConfigError(name, value, "use rupees with at most two decimals")
    return number
