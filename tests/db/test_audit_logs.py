"""Acts of people are kept in the transaction that does them, and shown to whom they concern."""

from db.audit_logs import AuditLogRepository
from db.transaction import Database
from tests.people import person, scalar


async def record(database: Database, actor: str, user_id: int | None, action: str = "update") -> None:
    async with database.transaction(None) as session:
        await AuditLogRepository(session).record(actor, action, "config", 7, user_id=user_id, changes={"a": [1, None]})


async def test_an_act_is_undone_with_the_transaction_that_did_it(database: Database) -> None:
    async with database.transaction(None) as session:
        await AuditLogRepository(session).record("priya", "delete", "config")
        await session.rollback()
    assert await scalar(database, "SELECT count(*) FROM audit_logs") == 0


async def test_acts_are_newest_first_of_one_users_things_or_of_all(database: Database) -> None:
    asha, bala = await person(database), await person(database, "bala")
    for actor, user_id in (("priya", asha.user_id), ("bala", bala.user_id), ("asha", asha.user_id), ("priya", None)):
        await record(database, actor, user_id)
    async with database.reading(None) as session:
        audit = AuditLogRepository(session)
        assert [(row.actor, row.user_id) for row in await audit.newest(2)] == [("priya", None), ("asha", asha.user_id)]
        assert [row.actor for row in await audit.newest(9, asha.user_id)] == ["asha", "priya"]
        assert (await audit.newest(1))[0].changes == {"a": [1, None]}


async def test_a_user_sees_acts_on_what_is_ones_own_whoever_acted(database: Database) -> None:
    asha, bala = await person(database), await person(database, "bala")
    for user_id in (asha.user_id, bala.user_id, None):
        await record(database, "priya", user_id)
    async with database.reading(asha.user_id) as session:
        assert [row.user_id for row in await AuditLogRepository(session).newest(9)] == [asha.user_id]
