"""A simulated market of five years in a world's database, and training on it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date, timedelta

from sqlalchemy import text

from adapters.prices.simulated import SimulatedPrices
from db.bars import BarRepository
from db.training_jobs import MLTrainingJobRepository, TrainingRequest
from ops.local import Servers
from tests.world import World, open_world
from trading.config import DEFAULTS
from trading.recipes import VERDICT_CLASSIFIER, Recipe
from trading.strategies.registry import strategy_named
from worker.outcome import Outcome
from worker.steps.train import train

PARAMETERS = strategy_named("dip").parameters(DEFAULTS)
HASH = PARAMETERS.hash
FIRST, DAY = date(2019, 3, 5), date(2024, 3, 5)
SYMBOLS = 40


@asynccontextmanager
async def open_market(servers: Servers) -> AsyncIterator[World]:
    """Yield a world half an hour after DAY's close: 40 symbols, one user."""
    async with open_world(servers) as world:
        calendar = world.resources.calendar
        await _store_bars(world)
        session = calendar.session(DAY)
        assert session is not None
        await world.set_clock(session.closes + timedelta(minutes=30))
        await world.sign_up("asha")
        yield world


async def _store_bars(world: World) -> None:
    """Store the market's bars: made once in a database, copied within it from then on."""
    calendar = world.resources.calendar
    async with world.database.transaction(None) as session:
        if (await session.execute(text("SELECT to_regclass('kept.bars') IS NOT NULL"))).scalar_one():
            await session.execute(text("INSERT INTO bars TABLE kept.bars"))
            await BarRepository(session).store_day(DAY, SYMBOLS, 0, True, "a test")
            return
    days = [one.day for one in calendar.sessions_between(max(FIRST, calendar.first), DAY)]
    await world.store_bars((await SimulatedPrices(7, days, SYMBOLS).bars(days[0], DAY)).bars, DAY)
    async with world.database.transaction(None) as session:
        await session.execute(text("CREATE SCHEMA kept"))
        await session.execute(text("CREATE TABLE kept.bars AS TABLE bars"))


async def requested(world: World, *, model_type: str = VERDICT_CLASSIFIER, activate: bool = True) -> int:
    """Request a training of the default parameters. Returns the job's id."""
    return await asked(world, TrainingRequest(Recipe(model_type, seed=7), PARAMETERS, activate=activate))


async def asked(world: World, request: TrainingRequest) -> int:
    """Store a training job. Returns its id."""
    async with world.database.transaction(None) as session:
        return await MLTrainingJobRepository(session).request(request)


async def trained(world: World, *, model_type: str = VERDICT_CLASSIFIER, activate: bool = True) -> Outcome:
    """Request a training and run it."""
    return await run_job(world, await requested(world, model_type=model_type, activate=activate))


async def run_job(world: World, job: int) -> Outcome:
    """Run a training job."""
    return await train(world.resources, await world.running("train", subject=str(job)))
