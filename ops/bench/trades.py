"""A history of trades as the predecessor wrote it, of any length: the same for the same seed."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

_BEGINS = datetime(2015, 1, 2, 9, 15, 11)  # noqa: DTZ001  # Indian time without a zone, as it was written
_CAPITAL = 100_000
# So many trades a share end before today, each being over before the next begins.
_TRADES_A_SHARE, _FEWEST_SHARES = 60, 1500
# Levels of the re-entry ladder, and how many of the trades that took the first took the second too.
_LEVELS, _DEEPER = (20, 10), 0.3
# What the strategy's rules take of them on average, on five years of 34 large shares: a quarter of the trades take any.
AGAIN, MOST_AGAIN = 0.34, 1 + _DEEPER


def write_trades(path: Path, trades: int, seed: int, again: float = AGAIN) -> None:
    """Write a `trades_history.json` of closed trades, one a line.

    again: levels of the ladder that a trade took on average, at most MOST_AGAIN.
    """
    with path.open("w", encoding="utf-8") as file:
        file.write('{"trades":[\n')
        for number, trade in enumerate(_trades(trades, again, Random(seed))):  # noqa: S311  # no secret
            file.write((",\n" if number else "") + json.dumps(trade))
        file.write('],"failed_orders":[],"last_run":"2025-03-12T18:00:03"}')


def _trades(count: int, again: float, chance: Random) -> Iterator[dict[str, Any]]:
    free = [_BEGINS] * max(_FEWEST_SHARES, count // _TRADES_A_SHARE)
    for number in range(count):
        share = chance.randrange(len(free))
        at = free[share] + timedelta(days=chance.randint(1, 20), seconds=chance.randint(0, 20_000))
        taken = 0 if chance.random() >= again / MOST_AGAIN else 2 if chance.random() < _DEEPER else 1
        trade, free[share] = _trade(number, f"SYM{share:04d}", at, taken, chance)
        yield trade


def _trade(
    number: int, share: str, at: datetime, taken: int, chance: Random
) -> tuple[dict[str, Any], datetime]:  # fmt: skip
    """Return a trade and when it was over. taken: levels of the ladder."""
    price = round(chance.uniform(50, 3000), 2)
    quantity = max(1, int(_CAPITAL / price))
    again: list[dict[str, Any]] = []
    last = at
    for rung, level in enumerate(_LEVELS[:taken]):
        last += timedelta(days=chance.randint(1, 4))
        lower = round(price * (0.95 - 0.04 * rung), 2)
        shares, rsi = max(1, int(_CAPITAL / lower)), round(chance.uniform(level - 8, level - 0.5), 1)
        again.append({"qty": shares, "level": level, "rsi": rsi, "price": lower, "time": last.isoformat()})
    over = last + timedelta(days=chance.randint(1, 9), hours=1)
    sale = round(price * chance.uniform(0.97, 1.06), 2)
    pnl = quantity * (sale - price) + sum(one["qty"] * (sale - one["price"]) for one in again)
    order = 250_304_000_000_000 + 2 * number
    return {
        "symbol": share, "placed_symbol": f"{share}-EQ", "ticker": f"{share}.NS",
        "entry_price": price, "entry_time": at.isoformat(), "rsi10": round(chance.uniform(12, 29.5), 1),
        "ema9": round(price * 1.04, 2), "ema200": round(price * 0.9, 2), "capital": _CAPITAL,
        "qty": quantity + sum(one["qty"] for one in again), "rsi_entry_level": 30,
        "levels_taken": {"30": True, "20": bool(again), "10": len(again) > 1}, "reset_ready": False,
        "order_response": {"nOrdNo": str(order), "stat": "Ok", "stCode": 200}, "status": "closed",
        "entry_type": "system_recommended", "reentries": again, "exit_price": sale, "exit_time": over.isoformat(),
        "exit_reason": "EMA9_TARGET", "sell_order_id": str(order + 1), "pnl": round(pnl, 2), "pnl_pct": 3.4,
    }, over  # fmt: skip
