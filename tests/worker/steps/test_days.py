"""Some market days through all steps: whatever the order of work and wherever a step is cut, the same books."""

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date, timedelta
from random import Random

import pytest

from adapters.prices.simulated import SimulatedPrices
from db.seeds import CALENDAR_FILE
from ops.local import Servers
from tests.days import Days, books
from tests.world import World, open_world
from trading.calendar_file import read_calendar
from trading.config import DEFAULTS
from trading.strategies.registry import strategy_named

FIRST, LAST = date(2024, 3, 4), date(2024, 3, 11)
EAGER = replace(DEFAULTS, rsi_oversold=45.0, rsi_extreme_oversold=30.0)
CONFIGS = (
    EAGER,
    replace(EAGER, rsi_period=7, max_portfolio_size=10),
    replace(EAGER, paper_trading_initial_capital=500_000),
)


def simulated() -> SimulatedPrices:
    from importlib.resources import files

    calendar = read_calendar((files("db") / CALENDAR_FILE).read_text(encoding="utf-8"))
    return SimulatedPrices(7, [one.day for one in calendar.sessions_between(date(2022, 10, 3), date(2024, 4, 30))], 40)


PRICES = simulated()


async def played(world: World, seed: int) -> Days:
    calendar = world.resources.calendar
    before = calendar.previous_session(FIRST).day
    await world.store_bars((await PRICES.bars(before - timedelta(days=600), before)).bars, before)
    await world.set_clock(calendar.previous_session(FIRST).closes)
    users = [await world.sign_up(f"user{number}", config) for number, config in enumerate(CONFIGS)]
    parameters = sorted({strategy_named("dip").parameters(config).hash for config in CONFIGS})
    days = Days(world, users, Random(seed), parameters)
    await days.play(FIRST, LAST)
    return days


@pytest.fixture
async def world(servers: Servers) -> AsyncIterator[World]:
    async with open_world(servers, PRICES) as made:
        yield made


async def test_days_run_from_bars_to_positions_and_cash(world: World) -> None:
    days = await played(world, 1)
    counts = Counter((task, outcome.status) for task, outcome in days.outcomes)
    print(counts)
    for task, outcome in days.outcomes:
        print(task, outcome)
    for part in await books(world):
        for row in part:
            print(row)
