"""The dip strategy: buy an oversold share after the close, sell it back at its nine-day average or when RSI recovers.

Source: domain 4.1-4.11.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal

import numpy as np

from trading.bars import Bars
from trading.config import RANGES, TradingConfig
from trading.feature_columns import HISTORY_BARS
from trading.features import FeatureParameters, FeatureTable, Json
from trading.indicators import rsi
from trading.order_form import buy_form, order_quantity
from trading.reentry import LEVELS, REENTRY_LEG, next_level, reentry_leg
from trading.risk import ENTRY_LEG, Intent
from trading.strategies.base import Assessment, Candidate, Decision, Held, Rejection, price_of
from trading.strategies.dip_gates import rsi_limit
from trading.strategies.dip_judge import assess
from trading.values import Price, Side, Symbol, tick_floor

EXIT_RSI = 50.0
"""Above it the dip is over; domain 4.11."""

LIVE_EMA9_WEIGHT = Decimal("0.2")
"""2 / (9 + 1): the share of the newest price in EMA9."""

_JOURNALLED = ("rsi", "ema9", "ema200", "above_ema200", "avg_volume_50", "volume_ratio")


class Dip:
    """Mean reversion on daily bars, long only."""

    name = "dip"

    def parameters(self, config: TradingConfig) -> FeatureParameters:
        """Return the feature table this configuration reads."""
        return FeatureParameters(rsi_period=config.rsi_period)

    def candidates(self, table: FeatureTable) -> list[Candidate]:
        """Return the symbols that the loosest allowed configuration would look at, by symbol."""
        columns = table.columns
        highest = rsi_limit(columns, RANGES["rsi_oversold"][1], RANGES["rsi_extreme_oversold"][1])
        return _candidates(table, np.flatnonzero(columns["rsi"] < highest).tolist())

    def assess(self, candidates: Sequence[Candidate], config: TradingConfig) -> list[Assessment]:
        """Return what a configuration makes of each candidate, in their order."""
        return assess(candidates, config)

    def decide(
        self, candidates: Sequence[Candidate], config: TradingConfig, excluded: Mapping[Symbol, str]
    ) -> Decision:
        """Return what one user buys of the candidates. excluded: symbol -> the code he cannot buy it for now.

        Best first: the most confident where a model spoke, then by priority, then the most oversold.
        """
        wanted: list[tuple[tuple[bool, float, float, float, Symbol], Intent]] = []
        rejections: list[Rejection] = []
        for candidate, found in zip(candidates, assess(candidates, config), strict=True):
            code = found.code or excluded.get(candidate.symbol)
            facts = _facts(candidate, found, config)
            intent = _buy(candidate, facts, config, ENTRY_LEG, "oversold") if code is None else None
            if intent is None:
                rejections.append(Rejection(candidate.symbol, code or "quantity_zero", facts))
            else:
                wanted.append((_turn(candidate, found, config), intent))
        wanted.sort(key=lambda one: one[0])
        intents = tuple(replace(intent, rank=rank) for rank, (_, intent) in enumerate(wanted, 1))
        return Decision(intents, tuple(sorted(rejections, key=lambda rejection: rejection.symbol)))

    def reenter(self, held: Sequence[Held], config: TradingConfig, session_day: date, first_rank: int) -> Decision:
        """Return which held shares are bought again for a session, ranked from first_rank on, the most oversold first.

        A share under a level it may not buy is rejected with why; one above all levels is not worth a word.
        """
        wanted: list[Intent] = []
        rejections: list[Rejection] = []
        for one in sorted(held, key=lambda one: (one.today.features.get("rsi") or 0.0, one.today.symbol)):
            value = one.today.features.get("rsi")
            if value is None or not value < LEVELS[0]:
                continue
            facts = _reentry_facts(one, value)
            level = next_level(one.ladder, value, session_day) if one.ladder is not None else None
            if one.ladder is None or level is None:
                code = "entry_rsi_missing" if one.ladder is None else "level_taken"
                rejections.append(Rejection(one.today.symbol, code, facts, REENTRY_LEG))
                continue
            leg = reentry_leg(one.ladder.cycle, level)
            intent = _buy(one.today, {**facts, "level": level}, config, leg, REENTRY_LEG)
            if intent is None:
                rejections.append(Rejection(one.today.symbol, "quantity_zero", facts, leg))
            else:
                wanted.append(replace(intent, rank=first_rank + len(wanted)))
        return Decision(tuple(wanted), tuple(sorted(rejections, key=lambda rejection: rejection.symbol)))


def live_ema9(ema9_yesterday: float, last: Price) -> Price:
    """Return EMA9 as it stands with today's last price, not rounded to a tick."""
    return (1 - LIVE_EMA9_WEIGHT) * price_of(ema9_yesterday) + LIVE_EMA9_WEIGHT * last


def exit_limit(ema9_yesterday: float, open_today: Price) -> Price:
    """Return the day's sell limit: EMA9 with today's open as the last price, floored to the tick."""
    return tick_floor(live_ema9(ema9_yesterday, open_today))


def exits_on_rsi(value: float) -> bool:
    """Say whether RSI (0-100) has recovered enough to sell at market. NaN does not sell."""
    return value > EXIT_RSI


def rsi_with(bars: Bars, last: Price, period: int) -> float:
    """Return RSI (0-100) with one more close that is not stored yet.

    bars: of the days before, oldest first. Raises ValueError with fewer than `period` of them.
    """
    if len(bars) < period:
        raise ValueError(f"{bars.symbol}: rsi({period}) needs {period} bars before the last price, not {len(bars)}")
    closes = np.append(bars.close[-(HISTORY_BARS - 1) :], float(last))
    return float(rsi(closes, period)[-1])


def _candidates(table: FeatureTable, numbers: Sequence[int]) -> list[Candidate]:
    closes = table.columns["close"]
    return [
        Candidate(table.symbols[number], table.day, price_of(float(closes[number])), row)
        for number, row in zip(numbers, table.rows(numbers), strict=True)
    ]


def _turn(candidate: Candidate, found: Assessment, config: TradingConfig) -> tuple[bool, float, float, float, Symbol]:
    confidence, value = candidate.spoken(config)[1], candidate.features["rsi"]
    oversold = 100.0 if value is None else value
    return (confidence is None, -(confidence or 0.0), -found.priority, oversold, candidate.symbol)


def _buy(
    candidate: Candidate, facts: Mapping[str, Json], config: TradingConfig, leg: str, reason: str
) -> Intent | None:
    """Return the buy, not ranked yet; None if not even one share fits."""
    ema9 = candidate.features.get("ema9")
    form = buy_form(candidate.close, None if ema9 is None else price_of(ema9), config)
    volume = candidate.features.get("avg_volume_50") or 0.0
    quantity = order_quantity(candidate.close, volume, config, form.limit_price)
    if quantity == 0:
        return None
    return Intent(
        symbol=candidate.symbol,
        side=Side.BUY,
        quantity=quantity,
        order_type=form.order_type,
        limit_price=form.limit_price,
        reference_price=candidate.close,
        rank=0,
        leg=leg,
        reason=reason,
        facts=facts,
        route=form.route,
    )


def _shown(candidate: Candidate) -> dict[str, Json]:
    facts: dict[str, Json] = {name: candidate.features.get(name) for name in _JOURNALLED}
    return facts | {"day": candidate.day.isoformat(), "close": str(candidate.close)}


def _facts(candidate: Candidate, found: Assessment, config: TradingConfig) -> dict[str, Json]:
    version, confidence = candidate.spoken(config)
    return _shown(candidate) | {
        "chart_score": found.chart,
        "verdict": found.verdict.word,
        "alignment": found.alignment,
        "strength_score": found.strength,
        "backtest_score": found.record,
        "combined_score": found.combined,
        "priority_score": found.priority,
        "plan": None if found.plan is None else found.plan.to_json(),
        "confidence": confidence,
        "model_version": version,
    }


def _reentry_facts(held: Held, value: float) -> dict[str, Json]:
    facts = _shown(held.today) | {"rsi": value}
    if held.ladder is None:
        return facts
    return facts | {"cycle": held.ladder.cycle, "taken": sorted(held.ladder.taken, reverse=True)}
