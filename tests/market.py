"""A simulated market of five years in a world's database, and training on it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date, timedelta

from adapters.prices.simulated import SimulatedPrices
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
