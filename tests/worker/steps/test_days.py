"""Some market days through all steps: whatever the order of work and wherever a step is cut, the same books."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from importlib.resources import files
from random import Random

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from adapters.prices.simulated import SimulatedPrices
from db.executions import Execution
from db.seeds import CALENDAR_FILE
from db.transaction import Database
from ops.local import Servers
from tests.days import Cut, Days, books
from tests.world import Step, World, open_world
from trading.calendar_file import read_calendar
from trading.config import DEFAULTS
from trading.strategies.registry import strategy_named
from worker.actors import STEPS
from worker.outcome import Outcome
from worker.resources import Resources

# In these days of this market one share recovers without its limit being touched: the rare exit at market.
SEED, FIRST, LAST = 1, date(2024, 1, 24), date(2024, 1, 31)
EAGER = replace(DEFAULTS, rsi_oversold=45.0, rsi_extreme_oversold=30.0, rsi_near_oversold=50.0)
CONFIGS = (
    replace(EAGER, user_capital=Decimal(50_000), max_portfolio_size=20),
    replace(EAGER, rsi_period=7, max_portfolio_size=10),
    replace(EAGER, paper_trading_initial_capital=Decimal(500_000)),
)


def simulated() -> SimulatedPrices:
    calendar = read_calendar((files("db") / CALENDAR_FILE).read_text(encoding="utf-8"))
    return SimulatedPrices(
        SEED, [one.day for one in calendar.sessions_between(date(2022, 10, 3), date(2024, 2, 29))], 40
    )


PRICES = simulated()


class CutDatabase(Database):
    """A database at whose n-th boundary of a transaction the worker is killed: before, just before or after a commit."""

    def __init__(self, database: Database, boundary: int) -> None:
        super().__init__(database.engine)
        self.left = boundary

    @asynccontextmanager
    async def transaction(self, user_id: int | None) -> AsyncIterator[AsyncSession]:
        self._cut()
        async with super().transaction(user_id) as session:
            yield session
            self._cut()
        self._cut()

    def _cut(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise asyncio.CancelledError


def cuts(random: Random, share: float) -> Cut:
    """Kill that share of all executions once, at a random boundary or just before their outcome is stored."""

    def cut(world: World, execution: Execution) -> Step | None:
        if random.random() > share:
            return None
        boundary = random.randrange(0, 8)

        async def killed(resources: Resources, execution: Execution) -> Outcome:
            database = CutDatabase(world.database, boundary)
            await STEPS[execution.task_name](replace(resources, database=database), execution)
            raise asyncio.CancelledError

        return killed

    return cut


async def played(world: World, seed: int, share: float) -> Days:
    calendar = world.resources.calendar
    before = calendar.previous_session(FIRST).day
    await world.store_bars((await PRICES.bars(before - timedelta(days=600), before)).bars, before)
    await world.set_clock(calendar.previous_session(FIRST).closes)
    users = [await world.sign_up(f"user{number}", config) for number, config in enumerate(CONFIGS)]
    parameters = sorted({strategy_named("dip").parameters(config).hash for config in CONFIGS})
    days = Days(world, users, Random(seed), parameters, cuts(Random(seed), share))
    await days.play(FIRST, LAST)
    return days


_BASELINE: list[list[list[tuple[object, ...]]]] = []


async def baseline(servers: Servers) -> list[list[tuple[object, ...]]]:
    """Return the books of the days in one order, without a cut; played once."""
    if not _BASELINE:
        async with open_world(servers, PRICES) as world:
            await played(world, 1, 0.0)
            _BASELINE.append(await books(world))
    return _BASELINE[0]


async def test_days_lead_from_bars_to_orders_fills_positions_and_cash(servers: Servers) -> None:
    orders, fills, positions, cash = await baseline(servers)
    assert {row[7] for row in orders} >= {"filled", "expired", "parked"}
    assert {row[3] for row in fills} == {"buy", "sell"}
    assert {row[10] for row in positions} == {None, "EMA9_TARGET", "RSI_EXIT"}
    assert all(ours == theirs for _, ours, theirs in cash)


@pytest.mark.parametrize(("seed", "share"), [(2, 0.0), (3, 1.0)])
async def test_neither_the_order_of_work_nor_a_killed_worker_changes_the_books(
    servers: Servers, seed: int, share: float
) -> None:
    expected = await baseline(servers)
    async with open_world(servers, PRICES) as world:
        days = await played(world, seed, share)
        assert await books(world) == expected
        assert {outcome.status for _, outcome in days.outcomes} <= {"success", "skipped"}
        assert await world.rows("SELECT 1 FROM orders WHERE status IN ('planned', 'sending', 'unknown')") == []
        assert (await world.row("SELECT count(*) FROM error_logs"))[0] == 0
