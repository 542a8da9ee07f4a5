"""Evenings for tests: an analysis of made-up candidates, stored as the step would, and the clock after it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal

from db.signals import Analysis, SignalRepository
from tests.desk import EVE, Desk
from tests.world import World
from trading.config import DEFAULTS
from trading.strategies.base import Candidate
from trading.strategies.registry import strategy_named
from trading.values import Symbol

GOOD = {
    "rsi": 20.0,
    "close": 100.0,
    "above_ema200": 1.0,
    "ema50": 100.0,
    "ema200": 90.0,
    "ema9_distance_pct": -4.0,
    "vol_ok": 1.0,
    "volume_ratio": 1.1,
    "avg_volume_50": 1_000_000.0,
    "gap_frequency_60": 0.0,
    "avg_range_pct_60": 3.0,
    "range_60_pct": 30.0,
    "extreme_candle_frequency_30": 0.0,
}
HASH = strategy_named("dip").parameters(DEFAULTS).hash


def candidate(symbol: str, rsi: float, confidence: float | None = None, **features: float) -> Candidate:
    version = None if confidence is None else "v1"
    return Candidate(Symbol(symbol), EVE, Decimal(100), {**GOOD, "rsi": rsi, **features}, confidence, version)


async def analysed(world: World, candidates: Sequence[Candidate], day: date = EVE) -> None:
    """Store an analysis whose snapshot holds the candidates' shares."""
    found = strategy_named("dip").assess(candidates, DEFAULTS)
    assessments = {one.symbol: made for one, made in zip(candidates, found, strict=True)}
    features = {
        "symbols": [one.symbol for one in candidates],
        "columns": {name: [one.features[name] for one in candidates] for name in GOOD},
    }
    async with world.database.transaction(None) as session:
        analysis = Analysis("dip", HASH, day, "ab", features, {}, None, candidates, assessments)
        await SignalRepository(session).store(analysis)


async def evening(desk: Desk, candidates: Sequence[Candidate], day: date = EVE) -> None:
    await analysed(desk.world, [replace(one, day=day) for one in candidates], day)
    await desk.world.set_clock(desk.closes(day, 35))
