"""Services for tests: an order that lives, executions as they stand, a switch thrown in a transaction of its own."""

from sqlalchemy import text

from db.service_status import ServiceStatusRepository, Switched
from db.transaction import Database
from tests.people import Person, queued

_ORDER = """
    INSERT INTO orders (user_id, account_id, symbol, side, order_type, variety, quantity, status, intent_key, tag,
                        strategy, leg, rank, reference_price, as_of, session_day, config_version)
    VALUES (:user_id, :account_id, 'S1', 'buy', 'market', 'amo', 10, :status, 'k', 't', 'dip', 'entry', 1, 10,
            '2024-01-02 10:35Z', '2024-01-03', 1)
"""


async def switched(database: Database, who: Person, by: str = "ravi", *, running: bool) -> Switched:
    """Start or stop a service."""
    async with database.transaction(None) as session:
        services = ServiceStatusRepository(session)
        return await (services.start if running else services.stop)(who.user_id, by)


async def order(database: Database, who: Person, status: str = "open") -> None:
    """Store an order in a state."""
    async with database.transaction(None) as session:
        values = {"user_id": who.user_id, "account_id": who.account_id, "status": status}
        await session.execute(text(_ORDER), values)


async def execution(database: Database, task: str, who: Person, status: str = "queued", *, rung: bool = True) -> int:
    """Store an execution that stands so. Returns its id."""
    bell = await queued(database, task, who, f"{status} {rung}", rung=rung)
    async with database.transaction(None) as session:
        await session.execute(
            text(
                "UPDATE service_task_execution SET status = w.status, "
                "next_attempt_at = CASE WHEN w.status = 'retrying' THEN now() + interval '1 h' END, "
                "waiting_for = CASE WHEN w.status = 'waiting' THEN '[]'::jsonb END "
                "FROM (SELECT CAST(:status AS text) AS status) w WHERE id = :id"
            ),
            {"status": status, "id": bell.execution_id},
        )
    return bell.execution_id


async def standing(database: Database, execution_id: int) -> tuple[str, int]:
    """Return an execution's status and generation."""
    query = "SELECT status, generation FROM service_task_execution WHERE id = :id"
    async with database.reading(None) as session:
        row = (await session.execute(text(query), {"id": execution_id})).one()
    return row.status, row.generation
