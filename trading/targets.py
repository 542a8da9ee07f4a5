"""What a user is shown beside a buy: the range to buy in, a stop and a target. Nothing is ever placed at them.

The live exit is EMA9 or RSI. Source: domain 4.8.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from trading.config import TradingConfig
from trading.scores import Verdict
from trading.values import Price, tick_floor

BUY_BELOW, BUY_ABOVE = Decimal("0.995"), Decimal("1.01")
NEAR_SUPPORT_PCT, FAR_SUPPORT_PCT = 2.0, 5.0
DEFAULT_STOP_PCT = 8.0  # under the close
FAIR_STOP_PCT = 6.0
LEAST_TARGET_PCT = 3.0
HIGH_ROOM_PCT = 5.0  # a target may pass the year's high by so much


@dataclass(frozen=True, slots=True)
class TradePlan:
    """Prices on the tick grid, for information. risk_reward: what the target promises for a rupee risked.

    source: `rules`, or `model` where the price regressor named the target.
    """

    buy_low: Price
    buy_high: Price
    stop: Price
    target: Price
    risk_reward: float
    source: str

    def to_json(self) -> dict[str, str | float]:
        """Return the plan for journals and order metadata: prices as text."""
        return {
            "buy_low": str(self.buy_low),
            "buy_high": str(self.buy_high),
            "stop": str(self.stop),
            "target": str(self.target),
            "risk_reward": self.risk_reward,
            "target_source": self.source,
        }


def trade_plan(
    close: Price,
    features: Mapping[str, float | None],
    verdict: Verdict,
    aligned: float,
    excellent: bool,
    predicted_gain: float | None,
    config: TradingConfig,
) -> TradePlan:
    """Return the plan of a candidate. aligned: 0-10. predicted_gain: percent, of the regressor; None without one."""
    support_pct, from_high_pct = features.get("support_distance_pct"), features.get("dist_from_high_252d_pct")
    low, high = _buy_range(close, support_pct)
    stop_pct = _stop_pct(support_pct, aligned)
    gain_pct, source = _rule_gain_pct(stop_pct, from_high_pct, verdict, aligned, excellent, config), "rules"
    if config.ml_price_enabled and predicted_gain is not None:
        gain_pct, source = predicted_gain, "model"
    stop, target = _moved(close, -stop_pct), _moved(close, max(gain_pct, LEAST_TARGET_PCT))
    reward = float((target - close) / (close - stop)) if close > stop else 0.0
    return TradePlan(low, high, stop, target, round(reward, 2), source)


def _buy_range(close: Price, support_pct: float | None) -> tuple[Price, Price]:
    """Return where a buy is sensible: at support if it is near, else around the close."""
    if support_pct is not None and support_pct <= NEAR_SUPPORT_PCT:
        support = _moved(close, 100 * (1 / (1 + support_pct / 100) - 1))
        return _moved(support, -0.3), _moved(support, 0.5)
    if support_pct is not None and support_pct <= FAR_SUPPORT_PCT:
        return _moved(close, -0.75), _moved(close, 0.75)
    return tick_floor(close * BUY_BELOW), tick_floor(close * BUY_ABOVE)


def _stop_pct(support_pct: float | None, aligned: float) -> float:
    """Return how far under the close the stop lies, in percent: under support where the time frames agree."""
    if aligned >= 6 and support_pct is not None:
        below = 100 * (1 - 0.98 / (1 + support_pct / 100))
        if below < 3:
            return 3.0
        return below if below <= 8 else (5.0 if aligned >= 8 else 6.0)
    return FAIR_STOP_PCT if aligned >= 4 else DEFAULT_STOP_PCT


def _rule_gain_pct(
    stop_pct: float,
    from_high_pct: float | None,
    verdict: Verdict,
    aligned: float,
    excellent: bool,
    config: TradingConfig,
) -> float:
    """Return the rules' target over the close in percent: its floor or the risk's multiple, under the year's high."""
    floor, multiple = config.default_target_pct, config.buy_risk_reward
    if excellent:
        floor, multiple = config.excellent_target_pct, config.excellent_risk_reward
    elif verdict is Verdict.STRONG_BUY:
        floor, multiple = config.strong_buy_target_pct, config.strong_buy_risk_reward
    multiple += 0.5 if aligned >= 8 else 0.25 if aligned >= 6 else 0.0
    gain = max(100 * floor, multiple * stop_pct)
    if from_high_pct is None:
        return gain
    highest = 100 * ((1 + HIGH_ROOM_PCT / 100) / (1 + from_high_pct / 100) - 1)
    return min(gain, highest)


def _moved(price: Price, percent: float) -> Price:
    """Return a price moved by a percentage, on the tick grid."""
    return tick_floor(price * (1 + Decimal(str(round(percent, 4))) / 100))
