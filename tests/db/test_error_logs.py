"""Errors stay until somebody resolves them, repeats together, each with what surrounded it."""

from datetime import UTC, datetime
from decimal import Decimal

from sqlalchemy import text

from db.audit_logs import AuditLogRepository
from db.claims import LedgerRepository, Settlement
from db.configs import UserTradingConfigRepository
from db.error_logs import ErrorLogRepository
from db.transaction import Database
from tests.people import MORNING, Person, person, queued, replay_from, scalar, worker

BEFORE = datetime(2020, 1, 1, tzinfo=UTC)


async def failed(database: Database, who: Person | None, message: str, task: str = "submit") -> int:
    """Fail an execution, as a worker records it. Returns the error's id."""
    subject = str(await scalar(database, "SELECT count(*) FROM service_task_execution"))
    bell = await queued(database, task, who, subject)
    async with database.transaction(None) as session:
        ledger = LedgerRepository(session)
        (execution,), _ = await ledger.claim([bell], "w1")
        settlement = Settlement(execution, "failed", 0.1, None, message, "ValueError", message, "Traceback\nValueError")
        await ledger.settle([settlement], "w1")
    return int(str(await scalar(database, "SELECT max(id) FROM error_logs")))


async def house(database: Database) -> Person:
    await replay_from(database)
    await worker(database)
    return await person(database)


async def test_repeats_of_one_error_are_one_row_whatever_number_stands_in_them(database: Database) -> None:
    asha = await house(database)
    bala = await person(database, "bala")
    for who, message in ((asha, "order 7 is gone"), (bala, "order 8 is gone"), (asha, "order 9 is gone"), (asha, "no")):
        await failed(database, who, message)
    async with database.reading(None) as session:
        found = await ErrorLogRepository(session).repeats(BEFORE, 10)
    assert [(row["errors"], row["users"], row["error_message"]) for row in found] == [
        (3, 2, "order 9 is gone"),
        (1, 1, "no"),
    ]


async def test_resolving_a_kind_resolves_its_repeats_and_says_who_and_why(database: Database) -> None:
    asha = await house(database)
    ids = [await failed(database, asha, f"order {number} is gone") for number in range(3)]
    other = await failed(database, asha, "no")
    async with database.transaction(None) as session:
        errors = ErrorLogRepository(session)
        kind = (await errors.newest(1, before=other))[0]["fingerprint"]
        resolved = await errors.resolve("priya", "sync was late", fingerprints=[kind], user_id=asha.user_id)
        assert resolved == ids
        assert await errors.resolve("priya", "again", ids=ids) == []
    assert await scalar(database, "SELECT count(*) FROM error_logs WHERE NOT resolved") == 1
    kept = "SELECT count(*) FROM error_logs WHERE resolved_by = :by AND resolution_notes = 'sync was late'"
    assert await scalar(database, kept + " AND resolved_at IS NOT NULL", by=asha.user_id) == 3
    async with database.reading(None) as session:
        (act,) = [one for one in await AuditLogRepository(session).newest(9) if one.action == "resolve"]
    assert (act.actor, act.changes) == ("priya", {"errors": ids, "fingerprints": [kind], "notes": "sync was late"})


async def test_a_list_is_newest_first_and_narrowed_by_what_is_asked(database: Database) -> None:
    asha = await house(database)
    bala = await person(database, "bala")
    first = await failed(database, asha, "one")
    second = await failed(database, bala, "two")
    third = await failed(database, asha, "three", task="order_sync")
    async with database.transaction(None) as session:
        errors = ErrorLogRepository(session)
        await errors.resolve("priya", "n", ids=[first])

        async def ids(**wanted: object) -> list[int]:
            return [row["id"] for row in await errors.newest(10, **wanted)]  # type: ignore[arg-type]  # any filter

        assert await ids() == [third, second, first]
        assert await ids(unresolved=True) == [third, second]
        assert await ids(user_id=asha.user_id) == [third, first]
        assert await ids(task_name="submit", before=second) == [first]


async def test_an_error_shows_the_configuration_it_ran_under_its_service_and_the_last_acts(database: Database) -> None:
    asha = await house(database)
    id_ = await failed(database, asha, "one")
    async with database.transaction(asha.user_id) as session:
        await UserTradingConfigRepository(session).update(asha.user_id, {"user_capital": Decimal(1)}, "asha", MORNING)
    later = await failed(database, asha, "two")
    async with database.reading(None) as session:
        before, after = [await ErrorLogRepository(session).show(one) for one in (id_, later)]
        assert await ErrorLogRepository(session).show(later + 1) is None
    assert before is not None
    assert after is not None
    assert (before["traceback"], before["context"]["service_running"]) == ("Traceback\nValueError", True)
    assert set(before["config"]) == {"rsi_oversold", "user_capital", "max_portfolio_size", "ml_enabled"}
    assert (before["config"]["user_capital"], after["config"]["user_capital"]) == ("200000", "1")
    assert [act["action"] for act in before["acts"]] == []
    assert [(act["actor"], act["action"]) for act in after["acts"]] == [("asha", "update")]


async def test_an_error_of_a_shared_task_is_nobodys_and_shown_all_the_same(database: Database) -> None:
    await house(database)
    id_ = await failed(database, None, "no prices", task="prices")
    async with database.reading(None) as session:
        found = await ErrorLogRepository(session).show(id_)
    assert found is not None
    assert (found["user_id"], found["service_running"], found["acts"]) == (None, None, [])


async def test_a_user_sees_his_own_errors_alone(database: Database) -> None:
    asha = await house(database)
    bala = await person(database, "bala")
    mine, other = await failed(database, asha, "one"), await failed(database, bala, "two")
    async with database.transaction(asha.user_id) as session:
        errors = ErrorLogRepository(session)
        assert [row["id"] for row in await errors.newest(10)] == [mine]
        assert await errors.show(other) is None
        left = text("UPDATE error_logs SET resolved = true WHERE id = :id RETURNING id")
        assert (await session.execute(left, {"id": other})).all() == []
