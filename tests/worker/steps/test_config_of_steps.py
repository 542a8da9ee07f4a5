"""What a step reads of a configuration: the version its execution holds, and the fields that need an account's rows."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from db.configs import UserTradingConfigRepository
from db.signals import Analysis, SignalRepository
from tests.desk import DAY, EVE, Desk
from tests.dips import DIP
from trading.config import DEFAULTS
from trading.strategies.base import Candidate
from trading.strategies.registry import strategy_named
from trading.values import Symbol

HASH = strategy_named("dip").parameters(DEFAULTS).hash


async def _evening(desk: Desk, day: date, *symbols: str) -> None:
    """Analyse a day, as all these symbols in a dip that the defaults buy, and make it the evening of that day."""
    found = [Candidate(Symbol(symbol), day, Decimal(100), DIP) for symbol in symbols]
    async with desk.world.database.transaction(None) as session:
        await SignalRepository(session).store(Analysis("dip", HASH, day, "ab", {}, {}, None, found))
    await desk.world.set_clock(desk.closes(day, 35))


async def _set(desk: Desk, **changes: object) -> None:
    async with desk.world.database.transaction(desk.who.user_id) as session:
        configs = UserTradingConfigRepository(session)
        await configs.update(desk.who.user_id, changes, "ravi", desk.opens(EVE))


async def _codes(desk: Desk) -> Mapping[str, str | None]:
    rows = await desk.world.rows("SELECT symbol, code FROM decisions")
    return {str(symbol): None if code is None else str(code) for symbol, code in rows}


@pytest.mark.parametrize(("version", "quantity"), [(1, 2000), (2, 500)])
async def test_a_step_decides_by_the_version_that_its_execution_holds(desk: Desk, version: int, quantity: int) -> None:
    await _set(desk, user_capital=50_000)
    await _evening(desk, EVE, "AAA")
    execution = replace(await desk.world.running("buy_orders", desk.who), config_version=version)
    await desk.run_as(execution)
    assert await desk.order("quantity, config_version") == (quantity, version)
    assert await desk.world.row("SELECT config_version FROM decisions") == (version,)


@pytest.mark.parametrize(("places", "code"), [(1, "MAX_OPEN_POSITIONS"), (2, None)])
async def test_max_portfolio_size_is_the_number_of_places(desk: Desk, places: int, code: str | None) -> None:
    await _set(desk, max_portfolio_size=places)
    await _evening(desk, EVE, "AAA", "BBB")
    await desk.run("buy_orders")
    assert sorted((await _codes(desk)).values(), key=str) == sorted([None, code], key=str)


@pytest.mark.parametrize(("allowed", "code"), [(False, "traded_today"), (True, None)])
async def test_allow_duplicate_recommendations_same_day_buys_back_what_was_sold_today(
    desk: Desk, allowed: bool, code: str | None
) -> None:
    await _set(desk, allow_duplicate_recommendations_same_day=allowed)
    await desk.held("AAA")
    await desk.world.change("UPDATE positions SET quantity = 0, closed_at = market_now()")
    await _evening(desk, DAY, "AAA")
    await desk.run("buy_orders")
    assert (await _codes(desk))["AAA"] == code
