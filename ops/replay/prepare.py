"""Fills a replay's empty database: schema, history, users, the clock, and one training."""

from collections.abc import Callable
from datetime import timedelta

from db.bars import BarRepository
from db.clock import ClockRepository
from db.configs import DEFAULT_STRATEGY
from db.executions import ServiceTaskRepository
from db.service_status import ServiceStatusRepository
from db.training_jobs import MLTrainingJobRepository, TrainingRequest
from db.transaction import Database
from db.users import UserRepository
from ops.replay.plan import Plan
from ops.replay.users import ReplayUser, replay_users
from ops.schema import make_ready
from trading.config import DEFAULTS
from trading.recipes import VERDICT_CLASSIFIER, Recipe
from trading.strategies.registry import strategy_named

# Rows a statement: large enough to be quick, small enough to show progress.
BATCH = 5000
# Follow-ups of the last sessions may become due a little after them.
MARGIN = timedelta(days=7)
TRAIN_AFTER_CLOSE = timedelta(hours=1)
TRAIN_USEFUL = timedelta(days=1)

Progress = Callable[[str, int, int], None]
"""Told what is being done, how much of it is, and how much there is."""


async def prepare(url: str, database: Database, plan: Plan, progress: Progress) -> None:
    """Make the database ready for the first slot. url: of the same database, for the migration."""
    progress("Migrating", 0, 1)
    await make_ready(url, plan.begins_at.date(), (plan.ends_at + MARGIN).date())
    progress("Migrating", 1, 1)
    await _load_history(database, plan, progress)
    await _sign_up(database, plan, progress)
    async with database.transaction(None) as session:
        await ClockRepository(session).begin_replay(plan.begins_at, plan.ends_at)
    await _request_training(database, plan)


async def _load_history(database: Database, plan: Plan, progress: Progress) -> None:
    history = plan.history
    for start in range(0, len(history), BATCH):
        progress("Loading history", start, len(history))
        async with database.transaction(None) as session:
            await BarRepository(session).store(history[start : start + BATCH])
    progress("Loading history", len(history), len(history))
    if not history:
        return
    last = max(bar.day for bar in history)
    on_last = sum(bar.day == last for bar in history)
    missing = len({bar.symbol for bar in history}) - on_last
    async with database.transaction(None) as session:
        await BarRepository(session).store_day(last, on_last, missing, True, plan.prices_name)


async def _sign_up(database: Database, plan: Plan, progress: Progress) -> None:
    users = replay_users(plan.request.users)
    for number, user in enumerate(users):
        progress("Signing up users", number, len(users))
        await _sign_up_one(database, plan, user)
    progress("Signing up users", len(users), len(users))


async def _sign_up_one(database: Database, plan: Plan, user: ReplayUser) -> None:
    async with database.transaction(None) as session:
        repository = UserRepository(session)
        signed_up = await repository.sign_up(user.email, user.name, user.config, plan.begins_at)
        for number in range(2, plan.request.accounts_per_user + 1):
            await repository.add_paper_account(signed_up.user_id, f"paper{number}", user.config, plan.begins_at)
        await ServiceStatusRepository(session).start(signed_up.user_id, "replay")


async def _request_training(database: Database, plan: Plan) -> None:
    """Ask for one model after the first session, as an operator would: active from the next analysis on."""
    parameters = strategy_named(DEFAULT_STRATEGY).parameters(DEFAULTS)  # stored with the first user's configuration
    at = plan.sessions[0].closes + TRAIN_AFTER_CLOSE
    async with database.transaction(None) as session:
        recipe = Recipe(VERDICT_CLASSIFIER, seed=plan.request.seed)
        job_id = await MLTrainingJobRepository(session).request(TrainingRequest(recipe, parameters, activate=True))
        await ServiceTaskRepository(session).request("train", "ml", str(job_id), at, at + TRAIN_USEFUL)
