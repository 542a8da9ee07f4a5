"""Users and executions for tests, made through the repositories."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from db.clock import ClockRepository
from db.executions import Bell
from db.service_status import ServiceStatusRepository
from db.transaction import Database
from db.users import UserRepository
from db.workers import WorkerRepository
from trading.config import DEFAULTS, TradingConfig

# Tuesday 2024-01-02, 08:00 IST: before the first task of a regular session.
MORNING = datetime(2024, 1, 2, 2, 30, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Person:
    """A user with running service and one paper account."""

    user_id: int
    account_id: int


async def replay_from(database: Database, at: datetime = MORNING, days: int = 1) -> None:
    """Make market time a row that starts at a moment."""
    async with database.transaction(None) as session:
        await ClockRepository(session).begin_replay(at, at + timedelta(days=days))


async def set_clock(database: Database, at: datetime) -> None:
    """Move the replay's clock to a moment."""
    async with database.transaction(None) as session:
        await session.execute(text("UPDATE market_clock SET at = :at"), {"at": at})


async def person(database: Database, name: str = "asha", config: TradingConfig = DEFAULTS) -> Person:
    """Sign a user up and start the service."""
    async with database.transaction(None) as session:
        made = await UserRepository(session).sign_up(f"{name}@example.org", name, config, MORNING)
        await ServiceStatusRepository(session).start(made.user_id, "a test")
    return Person(made.user_id, made.account_id)


async def queued(
    database: Database,
    task: str,
    who: Person | None = None,
    subject: str = "",
    at: datetime = MORNING,
    *,
    rung: bool = True,
) -> Bell:
    """Insert a queued execution, one that was rung unless told otherwise, and return its bell."""
    async with database.transaction(None) as session:
        row = (
            await session.execute(
                text(
                    "INSERT INTO service_task_execution (scheduled_for, task_name, user_id, account_id, subject, queue, "
                    "status, as_of, rung_at) VALUES (:at, :task, :user_id, :account_id, :subject, 'default', 'queued', "
                    ":at, CASE WHEN :rung THEN now() END) RETURNING id"
                ),
                {
                    "at": at,
                    "task": task,
                    "subject": subject,
                    "rung": rung,
                    "user_id": who.user_id if who else None,
                    "account_id": who.account_id if who else None,
                },
            )
        ).one()
    return Bell(task, "default", at, row.id, 1)


async def worker(database: Database, name: str = "w1", seconds: float = 60.0) -> str:
    """Register a worker process with a lease."""
    async with database.transaction(None) as session:
        await WorkerRepository(session).register(name, "here", 1, "default", seconds)
    return name


async def scalar(database: Database, query: str, **values: object) -> object:
    """Return one value, seen as the system."""
    async with database.reading(None) as session:
        return (await session.execute(text(query), values)).scalar_one()
