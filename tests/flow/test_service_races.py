"""Services stopped while wide fan-outs make executions for everybody: a stop sees them, or they see the stop."""

from pathlib import Path

from sqlalchemy import text

from config.servers import ServerUrls
from db.transaction import Database
from tests.flow.crowds import MADE, SLOTS, START_SECONDS, SUBSCRIBERS, crowd, fired, ready_to_fire, schedulers, stand_at
from tests.people import scalar
from tests.waiting import until
from worker.services import stop_service

STOPS = 150
# From the last ones on, whom a fan-out comes to at its end: some have no execution yet, some have.
SOME = f"SELECT id FROM users WHERE id % ({SUBSCRIBERS} / {STOPS}) = 0 ORDER BY id DESC LIMIT {STOPS}"
LEFT = """
    SELECT count(*) FROM service_task_execution e JOIN service_status s ON s.user_id = e.user_id
    WHERE NOT s.service_running AND e.is_open
"""
CANCELLED = "SELECT count(*) FROM service_task_execution WHERE status = 'cancelled'"


async def test_nothing_is_left_to_begin_of_who_stops_while_everybodys_executions_are_made(
    database: Database, urls: ServerUrls, tmp_path: Path
) -> None:
    await crowd(database)
    async with database.reading(None) as session:
        users = list((await session.execute(text(SOME))).scalars())
    with schedulers(urls, tmp_path / "logs", "ab"):
        await ready_to_fire(database, 2)
        await stand_at(database, SLOTS[0])
        await until(lambda: scalar(database, MADE, slot=SLOTS[0]), START_SECONDS)
        for user_id in users:
            assert (await stop_service(database, user_id, "ravi")).switched.changed
        await fired(database, SLOTS[0])
    assert await scalar(database, LEFT) == 0
    cancelled = await scalar(database, CANCELLED)
    made = await scalar(database, MADE, slot=SLOTS[0])
    assert isinstance(cancelled, int)
    assert isinstance(made, int)
    assert SUBSCRIBERS - made + cancelled == STOPS
