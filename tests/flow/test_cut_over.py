"""The cut-over, rehearsed: old files come in, the service starts, the real scheduler and workers sell what was held.

And the way back: what was sold here stands sold in the predecessor's files.
"""

import json
from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters.prices.simulated import SimulatedPrices
from db.invariants import check
from db.service_status import ServiceStatusRepository
from ops.exporters.legacy import Screen as NoScreen
from ops.exporters.legacy import export_legacy
from ops.importers.command import Brought, Request, Screen, run, verify_batch
from ops.importers.errors import BuiltUponError
from ops.importers.rollback import roll_back_batch
from tests.flow.live import LiveDays, live_days
from trading.bars import Bar
from trading.calendar import exchange_day, exchange_time
from trading.indicators import ema
from trading.strategies.dip import exit_limit

BOUGHT, EVE, DAY, AFTER = date(2025, 12, 22), date(2025, 12, 26), date(2025, 12, 29), date(2025, 12, 30)
FAST = 7200.0
ASHA = "asha@example.org"


async def test_an_imported_position_is_sold_at_its_average_by_the_next_session_and_goes_back_as_sold(
    tmp_path: Path,
) -> None:
    async with live_days(EVE, DAY, AFTER, users=1, symbols=20) as live:
        symbol, limit = await _sold_on(live.market, DAY)
        (history,) = await _brought_in(live, _old_folder(tmp_path / "old", symbol, await _price(live.market, symbol)))
        await _verified(live, history)
        await _started(live)
        await _sold(live, symbol, limit)
        await _sound(live)
        await _not_taken_back(live, history, symbol)
        await _goes_back(live, tmp_path / "back", symbol, limit)


async def _bars(market: SimulatedPrices, symbol: str, last: date) -> Sequence[Bar]:
    bars = (await market.bars(last - timedelta(days=400), last)).bars
    return sorted((bar for bar in bars if bar.symbol == symbol), key=lambda bar: bar.day)


async def _price(market: SimulatedPrices, symbol: str) -> Decimal:
    return next(bar.open for bar in await _bars(market, symbol, BOUGHT) if bar.day == BOUGHT)


async def _sold_on(market: SimulatedPrices, day: date) -> tuple[str, Decimal]:
    """Return a share that reaches its average of nine days on a day after opening below, and that average.

    The files of a day come when it is over: its limit is reckoned with the close before.
    """
    for symbol in await market.symbols():
        *before, today = await _bars(market, symbol, day)
        closes = np.array([float(bar.close) for bar in before])
        limit = exit_limit(float(ema(closes, 9)[-1]), before[-1].close)
        if today.open < limit <= today.high:
            return symbol, limit
    raise AssertionError(f"no share of the simulated market reaches its average on {day}")


def _old_folder(folder: Path, symbol: str, price: Decimal) -> Path:
    held = {
        "symbol": symbol, "placed_symbol": f"{symbol}-EQ", "ticker": f"{symbol}.NS", "entry_price": float(price),
        "entry_time": f"{BOUGHT}T09:15:11", "rsi10": 24.8, "qty": 40, "status": "open", "note": "from before",
        "order_response": {"nOrdNo": "251222000111222", "stat": "Ok", "stCode": 200},
    }  # fmt: skip
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "trades_history.json").write_text(json.dumps({"trades": [held], "failed_orders": []}))
    return folder


async def _brought_in(live: LiveDays, folder: Path) -> list[Brought]:
    request = Request("all", folder, ASHA, "ravi", create_user=True)
    tried = await run(live.database, Request("all", folder, ASHA, "ravi", create_user=True, dry_run=True), Screen())
    brought = await run(live.database, request, Screen())
    assert [one.done.counts for one in tried] == [one.done.counts for one in brought]
    assert all(one.is_whole for one in brought)
    return brought


async def _verified(live: LiveDays, batch: Brought) -> None:
    async with live.database.reading(None) as session:
        measures = await verify_batch(session, batch.done.batch_id)
    assert [one.name for one in measures if not one.agrees] == []


async def _started(live: LiveDays) -> None:
    (user,) = await live.rows(
        "SELECT u.id, s.service_running FROM users u JOIN service_status s ON s.user_id = u.id WHERE u.email = :email",
        email=ASHA,
    )
    assert user.service_running is False, "who was imported starts stopped"
    async with live.database.transaction(None) as session:
        await ServiceStatusRepository(session).start(user.id, "a test")


async def _positions(live: LiveDays) -> list[Any]:
    return await live.rows(
        "SELECT p.*, o.order_type, o.price AS limit_price, o.execution_id FROM positions p "
        "JOIN users u ON u.id = p.user_id LEFT JOIN orders o ON o.id = p.sell_order_id WHERE u.email = :email", email=ASHA
    )  # fmt: skip


async def _sold(live: LiveDays, symbol: str, limit: Decimal) -> None:
    await live.run_until(DAY, "09:20", 600.0)

    async def offered() -> bool:
        rows = await live.rows(
            "SELECT o.price, o.quantity FROM orders o JOIN users u ON u.id = o.user_id "
            "WHERE u.email = :email AND o.side = 'sell' AND o.status IN ('acked', 'open')", email=ASHA,
        )  # fmt: skip
        return [tuple(row) for row in rows] == [(limit, 40)]

    await live.until(offered, f"40 {symbol} on offer at {limit}")
    await live.run_until(DAY, "15:40", FAST)
    await live.arrive(DAY)
    await live.run_until(DAY, "15:46")
    await live.all_are("prices", DAY, "success")

    async def sold() -> bool:
        (position,) = await _positions(live)
        return position.closed_at is not None

    await live.until(sold, f"{symbol} sold")
    (position,) = await _positions(live)
    assert (position.exit_price, position.exit_reason) == (limit, "EMA9_TARGET")
    assert (position.order_type, position.limit_price) == ("limit", limit)
    assert position.execution_id is not None, "an execution of a worker decided it"
    assert exchange_day(position.closed_at) == DAY


async def _sound(live: LiveDays) -> None:
    await live.run_until(DAY, "18:01", FAST)
    await live.all_are("eod_cleanup", DAY, "success")
    async with live.database.reading(None) as session:
        assert [(one.name, one.rows) for one in await check(session)] == []


async def _not_taken_back(live: LiveDays, batch: Brought, symbol: str) -> None:
    (position,) = await _positions(live)
    said = f"position {position.id} in {symbol}: order {position.sell_order_id} belongs to it"
    with pytest.raises(BuiltUponError, match=said):
        async with live.database.transaction(None) as session:
            await roll_back_batch(session, batch.done.batch_id, "ravi")


async def _goes_back(live: LiveDays, folder: Path, symbol: str, limit: Decimal) -> None:
    exported = await export_legacy(live.database, folder, ASHA, "ravi", NoScreen())
    assert exported.runs, "it says that the service runs still"
    (trade,) = json.loads((folder / "data" / "trades_history.json").read_text())["trades"]
    (position,) = await _positions(live)
    assert (trade["symbol"], trade["status"], trade["qty"], trade["note"]) == (symbol, "closed", 40, "from before")
    assert (trade["exit_price"], trade["exit_reason"]) == (float(limit), "EMA9_TARGET")
    assert trade["exit_time"] == exchange_time(position.closed_at).replace(tzinfo=None).isoformat()
    assert trade["pnl"] == float(position.realized_pnl)
    again = await run(live.database, Request("all", folder, "ravi@example.org", "ravi", create_user=True), Screen())
    assert all(one.is_whole for one in again)
