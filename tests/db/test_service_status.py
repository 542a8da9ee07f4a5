"""Services of users: who is looked after, and since when."""

import pytest
from sqlalchemy import text

from db import service_status
from db.audit_logs import AuditLogRepository
from db.service_status import ServiceStatusRepository
from db.transaction import Database
from tests.people import person, scalar

FRESH = "SELECT count(*) FROM service_status WHERE last_heartbeat > now() - interval '10 s'"


async def beat(database: Database, chunk: int = 10) -> bool:
    async with database.transaction(None) as session:
        return await ServiceStatusRepository(session).beat(chunk)


async def test_every_service_that_is_on_gets_its_heartbeat_whatever_it_does(database: Database) -> None:
    for name in ("asha", "bala", "chitra"):
        await person(database, name)
    async with database.transaction(None) as session:
        await session.execute(
            text("UPDATE service_status SET service_running = user_id <> (SELECT max(id) FROM users)")
        )
    assert await beat(database, chunk=1), "there is one more"
    assert await beat(database, chunk=1), "nobody has looked whether there are more"
    assert not await beat(database, chunk=1)
    assert await scalar(database, FRESH) == 2


async def test_a_fresh_heartbeat_is_not_written_again(database: Database) -> None:
    await person(database)
    await beat(database)
    before = await scalar(database, "SELECT last_heartbeat FROM service_status")
    await beat(database)
    assert await scalar(database, "SELECT last_heartbeat FROM service_status") == before


async def test_where_services_are_many_none_is_written_each_minute(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_status, "MANY", 2)
    for name in ("asha", "bala", "chitra"):
        await person(database, name)
    async with database.transaction(None) as session:
        await session.execute(text("ANALYZE service_status"))
        assert not await ServiceStatusRepository(session).beat(1)
        assert await session.scalar(text("SELECT count(last_heartbeat) FROM service_status")) == 0
        await session.rollback()


async def test_errors_are_counted_from_nought_again_by_somebody(database: Database) -> None:
    asha, bala = await person(database), await person(database, "bala")
    async with database.transaction(None) as session:
        await session.execute(text("UPDATE service_status SET error_count = 3, last_error = 'no money'"))
        assert await ServiceStatusRepository(session).reset_errors(asha.user_id, "priya") == 3
    async with database.transaction(None) as session:
        services = ServiceStatusRepository(session)
        assert await services.reset_errors(asha.user_id, "priya") == 0
        counted = [(row.user_id, row.error_count, row.last_error) for row in await services.page(9)]
        assert counted == [(asha.user_id, 0, None), (bala.user_id, 3, "no money")]
        assert [row.user_id for row in await services.page(9, after_user=asha.user_id)] == [bala.user_id]
        (act,) = [one for one in await AuditLogRepository(session).newest(9) if one.action == "reset_errors"]
    assert (act.actor, act.user_id, act.changes) == ("priya", asha.user_id, {"error_count": [3, 0]})
