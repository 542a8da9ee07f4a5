"""A simulated market of five years in a world's database, and training on it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date, timedelta

from adapters.prices.simulated import SimulatedPrices
from db.models import MLModelRepository
from ops.local import Servers
from tests.world import World, open_world
from trading.config import DEFAULTS
from trading.strategies.registry import strategy_named
from worker.outcome import Outcome
from worker.steps.train import train

HASH = strategy_named("dip").parameters(DEFAULTS).hash
FIRST, DAY = date(2019, 3, 5), date(2024, 3, 5)


@asynccontextmanager
async def open_market(servers: Servers) -> AsyncIterator[World]:
    """Yield a world half an hour after DAY's close: 40 symbols, one user."""
    async with open_world(servers) as world:
        calendar = world.resources.calendar
        days = [one.day for one in calendar.sessions_between(max(FIRST, calendar.first), DAY)]
        await world.store_bars((await SimulatedPrices(7, days, 40).bars(days[0], DAY)).bars, DAY)
        session = calendar.session(DAY)
        assert session is not None
        await world.set_clock(session.closes + timedelta(minutes=30))
        await world.sign_up("asha")
        yield world


async def requested(world: World, *, activate: bool = True) -> int:
    """Request a training of the default parameters. Returns the job's id."""
    async with world.database.transaction(None) as session:
        return await MLModelRepository(session).request("dip", HASH, 7, activate=activate)


async def trained(world: World, *, activate: bool = True) -> Outcome:
    """Request a training and run it."""
    job = await requested(world, activate=activate)
    return await train(world.resources, await world.running("train", subject=str(job)))
