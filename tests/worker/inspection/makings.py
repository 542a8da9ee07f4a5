"""Executions and messages in every place they can stand in, for looks at them and acts on them."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text

from db.executions import Bell
from db.transaction import Database
from tests.people import MORNING, Person
from worker.bells.keys import dead_errors_key, dead_key, dead_messages_key, messages_key, ready_key
from worker.bells.ringing import Bells
from worker.inspection.reach import Reach
from worker.inspection.results import Action, Command, Edit, Group
from worker.wire import encode, message_id

STOCK = b'{"queue_name":"orders","actor_name":"mail","args":["a"],"kwargs":{},"options":{"redis_message_id":"%s","retries":3,"traceback":"t","eta":5},"message_id":"m-%s","message_timestamp":1700000000000}'


def reach_of(database: Database, bells: Bells, share: int = 8) -> Reach:
    return Reach(database, bells.redis, share)


def command(group: Group, action: Action, edit: Edit | None = None, user_id: int | None = None) -> Command:
    return Command(group, action, "asha", edit or Edit(), user_id)


async def execution(
    database: Database,
    status: str,
    who: Person | None = None,
    task: str = "order_sync",
    at: datetime = MORNING,
    **columns: Any,
) -> Bell:
    """Insert an execution and return its bell. columns: further ones by name; seconds: until its next attempt."""
    seconds = columns.pop("seconds", 60.0 if status == "retrying" else None)
    values = {
        "scheduled_for": at,
        "task_name": task,
        "user_id": who.user_id if who else None,
        "account_id": who.account_id if who else None,
        "subject": "",
        "queue": "orders",
        "status": status,
        "as_of": at,
        "attempt": 1 if status in ("retrying", "running", "failed") else 0,
        **columns,
    }
    names = ", ".join(values)
    places = ", ".join(f":{name}" for name in values)
    rung = "now()" if status in ("running", "failed", "success") or columns.pop("rung", False) else "NULL"
    ended = "now()" if status in ("failed", "success", "cancelled", "skipped") else "NULL"
    began = "now()" if status in ("running", "failed", "success") else "NULL"
    query = (
        f"INSERT INTO service_task_execution ({names}, rung_at, next_attempt_at, finished_at, executed_at) "
        f"VALUES ({places}, {rung}, now() + make_interval(secs => :seconds), {ended}, {began}) RETURNING id, generation"
    )
    async with database.transaction(None) as session:
        row = (await session.execute(text(query), {**values, "seconds": seconds})).one()
    return Bell(task, values["queue"], at, row.id, row.generation)


async def retrying(
    database: Database, bells: Bells, who: Person | None = None, count: int = 1, seconds: float = 60.0, **columns: Any
) -> list[Bell]:
    """Make executions that wait for their next attempt, each with its message, due a second after another."""
    made = []
    for number in range(count):
        at = columns.get("at", MORNING) + timedelta(seconds=number)
        made.append(await execution(database, "retrying", who, seconds=seconds + number, **{**columns, "at": at}))
    await bells.wait([(bell, int((seconds + number) * 1000)) for number, bell in enumerate(made)])
    return made


async def dead(database: Database, bells: Bells, who: Person | None = None, **columns: Any) -> Bell:
    """Make an execution that failed, with its dead letter."""
    bell = await execution(database, "failed", who, reason="Boom: it broke", **columns)
    await bury(bells, bell)
    return bell


async def bury(bells: Bells, bell: Bell, at_ms: int = 1_700_000_000_000) -> None:
    await bells.redis.zadd(dead_key(bell.queue), {message_id(bell): at_ms})
    await bells.redis.hset(dead_messages_key(bell.queue), message_id(bell), encode(bell))


async def stock_dead(bells: Bells, name: str, message: bytes | None = None, error: str | None = None) -> None:
    """Make a dead letter that no execution tells of."""
    await bells.redis.zadd(dead_key("orders"), {name: 1_700_000_000_000})
    await bells.redis.hset(dead_messages_key("orders"), name, message or STOCK.replace(b"%s", name.encode()))
    if error is not None:
        await bells.redis.hset(dead_errors_key("orders"), name, error)


async def stock_ready(bells: Bells, name: str, queue: str = "orders") -> None:
    await bells.redis.hset(messages_key(queue), name, STOCK.replace(b"%s", name.encode()))
    await bells.redis.rpush(ready_key(queue), name)


async def row(database: Database, bell: Bell, columns: str = "status, generation") -> tuple[Any, ...]:
    """Return columns of an execution."""
    query = f"SELECT {columns} FROM service_task_execution WHERE id = :id"
    async with database.reading(None) as session:
        return tuple((await session.execute(text(query), {"id": bell.execution_id})).one())


async def audited(database: Database) -> list[tuple[Any, ...]]:
    """Return actor, action, resource and user of every act, in order."""
    query = "SELECT actor, action, resource_type, resource_id, user_id, changes FROM audit_logs ORDER BY id"
    async with database.reading(None) as session:
        return [tuple(one) for one in await session.execute(text(query))]


async def stored(bells: Bells, key: str, message_id: str) -> bytes:
    """Return what a hash keeps of a message, nothing when it keeps none."""
    found = await bells.redis.hget(key, message_id)
    return found.encode() if isinstance(found, str) else found or b""
