"""Whatever becomes of the processes, a service that runs goes on running, and one that is stopped stays stopped."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import text

from config.servers import ServerUrls
from db.claims import SETTLED_CHANNEL
from db.clock import ClockRepository
from db.transaction import Database
from ops.doors import Door
from ops.replay.drive import QUEUES, Watched, doors_running
from tests.people import person, scalar
from tests.services import switched
from tests.waiting import until

MORNING, SYNC = datetime(2024, 1, 2, 3, tzinfo=UTC), datetime(2024, 1, 2, 3, 5, 1, tzinfo=UTC)  # 08:30, 08:35:01 IST
START_SECONDS = 30.0

SWITCHES = (
    "SELECT string_agg(concat_ws(' ', user_id, service_running, generation, started_at, stopped_at, changed_by), ', ' "
    "ORDER BY user_id) FROM service_status"
)
PLANNED = "SELECT bool_and(next_due_at IS NOT NULL) FROM schedules WHERE enabled"
ALIVE = (
    "SELECT (SELECT count(*) FROM scheduler_processes WHERE stopped_at IS NULL AND started_at > :since) > 0 "
    "AND (SELECT count(*) FROM worker_processes WHERE ended_at IS NULL AND lease_until > now() AND started_at > :since) > 0"
)
SYNCED = "SELECT string_agg(user_id || ' ' || status, ', ') FROM service_task_execution WHERE task_name = 'order_sync'"


async def stand_at(database: Database, moment: datetime) -> None:
    async with database.transaction(None) as session:
        await ClockRepository(session).rehearse(moment, moment, 1.0)
        await session.execute(text(f"NOTIFY {SETTLED_CHANNEL}"))


@contextmanager
def processes(urls: ServerUrls, logs: Path) -> Iterator[Watched]:
    """Run a scheduler and a worker, told to end as a platform does it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MUHURAT")}
    environment = kept | {
        "DATABASE_URL": urls.database,
        "REDIS_URL": urls.redis,
        "MUHURAT_PRICES": "simulated:7:20",
        "MUHURAT_SCHEDULER_POLL_SECONDS": "0.1",
    }
    doors = [
        Door("scheduler", ["python", "-m", "scheduler.main"], environment),
        Door("worker", ["python", "-m", "worker.main", "--queues", QUEUES, "--threads", "2"], environment),
    ]
    with doors_running(doors, logs) as watched:
        yield watched


async def test_services_outlive_deploys_and_kills_of_every_process(
    database: Database, urls: ServerUrls, tmp_path: Path
) -> None:
    runs, stopped = await person(database), await person(database, "bala")
    await switched(database, stopped, running=False)
    await stand_at(database, MORNING)
    before = await scalar(database, SWITCHES)
    with processes(urls, tmp_path / "deployed"):
        await alive(database)
    with processes(urls, tmp_path / "killed") as watched:
        await alive(database)
        for door in watched.doors:
            door.signal(signal.SIGKILL, group=True)
    assert await scalar(database, SWITCHES) == before
    with processes(urls, tmp_path / "new"):
        await alive(database)
        await stand_at(database, SYNC)
        await until(lambda: _is_synced(database, runs.user_id), START_SECONDS)
    assert await scalar(database, SWITCHES) == before


async def alive(database: Database) -> None:
    """Return once a scheduler and a worker that are new are there, and schedules are planned."""
    since = await scalar(database, "SELECT now()")
    await until(lambda: scalar(database, ALIVE, since=since), START_SECONDS)
    await until(lambda: scalar(database, PLANNED), START_SECONDS)


async def _is_synced(database: Database, user_id: int) -> bool:
    return await scalar(database, SYNCED) == f"{user_id} success"
