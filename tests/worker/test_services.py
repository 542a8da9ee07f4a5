"""A service starts when all is there that trading needs, and says all that is missing at once."""

import asyncio
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from db.claims import LedgerRepository
from db.transaction import Database
from tests.people import Person, person, queued, replay_from, scalar, worker
from tests.services import execution, standing, switched
from worker import services as module
from worker.services import Missing, look_at, missing, start_service, stop_service

AUDIT = "SELECT coalesce(string_agg(concat_ws(' ', actor, action), ', ' ORDER BY id), '') FROM audit_logs"


async def stopped(database: Database) -> Person:
    who = await person(database)
    await switched(database, who, running=False)
    await replay_from(database)
    return who


async def change(database: Database, statement: str) -> None:
    async with database.transaction(None) as session:
        await session.execute(text(statement))


async def lacks(database: Database, who: Person) -> list[Missing]:
    async with database.reading(None) as session:
        return await missing(session, who.user_id)


async def test_a_user_who_signed_up_lacks_nothing(database: Database) -> None:
    who = await stopped(database)
    assert await lacks(database, who) == []
    started = await start_service(database, who.user_id, "priya")
    assert started.switched is not None
    assert (started.switched.changed, started.switched.by) == (True, "priya")
    assert await scalar(database, AUDIT) == "priya start"


@pytest.mark.parametrize(
    ("statement", "what", "cure"),
    [
        ("UPDATE users SET is_active = false", "user", "switch the user on"),
        ("UPDATE users SET deleted_at = now()", "user", "somebody who is there"),
        ("DELETE FROM user_trading_config", "configuration", "muhurat config reset"),
        ("UPDATE user_trading_config SET strategy = 'gone'", "strategy", "choose one"),
        ("UPDATE broker_accounts SET status = 'blocked'", "account", "muhurat accounts unblock"),
        ("UPDATE broker_accounts SET venue = 'kite'", "venue", "muhurat accounts block"),
        ("UPDATE broker_accounts SET mode = 'broker', egress = '10.0.0.1'", "credentials", "store them"),
        ("UPDATE broker_accounts SET mode = 'broker', credentials_sealed = 'x'", "egress", "registered"),
        ("UPDATE schedule_subscriptions SET enabled = false", "schedules", "muhurat subscriptions"),
        ("DELETE FROM schedule_subscriptions", "schedules", "muhurat subscriptions"),
        ("UPDATE market_clock SET at = '2014-12-31'", "calendar", "muhurat calendar import"),
        ("UPDATE market_clock SET at = '2027-01-04'", "calendar", "muhurat calendar import"),
        # Today is known, but not the session that is decided for.
        ("UPDATE market_clock SET at = '2026-12-31 12:00Z'", "calendar", "muhurat calendar import"),
    ],
)
async def test_what_is_missing_is_named_with_its_cure_and_nothing_changes(
    database: Database, statement: str, what: str, cure: str
) -> None:
    who = await stopped(database)
    await change(database, statement)
    (one,) = await lacks(database, who)
    assert one.what == what
    assert cure in one.cure
    before = await scalar(database, "SELECT service_status::text FROM service_status")
    assert await start_service(database, who.user_id, "priya") == module.Started(None, [one])
    assert await scalar(database, "SELECT service_status::text FROM service_status") == before
    assert await scalar(database, AUDIT) == ""


async def test_all_that_is_missing_is_said_at_once(database: Database) -> None:
    who = await stopped(database)
    for statement in (
        "UPDATE users SET is_active = false",
        "DELETE FROM user_trading_config",
        "UPDATE broker_accounts SET mode = 'broker', venue = 'kite'",
        "DELETE FROM schedule_subscriptions",
        "UPDATE market_clock SET at = '2027-01-04'",
    ):
        await change(database, statement)
    found = [one.what for one in await lacks(database, who)]
    assert found == ["user", "configuration", "venue", "credentials", "egress", "schedules", "calendar"]


async def test_what_a_blocked_account_lacks_keeps_no_other_from_trading(database: Database) -> None:
    who = await stopped(database)
    await change(
        database,
        f"INSERT INTO broker_accounts (user_id, code, name, mode, venue, status) "
        f"VALUES ({who.user_id}, 'asha/live', 'live', 'broker', 'kite', 'blocked')",
    )
    assert await lacks(database, who) == []


async def test_one_that_runs_is_told_what_it_lacks_and_goes_on_running(database: Database) -> None:
    who = await person(database)
    await change(database, "UPDATE broker_accounts SET status = 'blocked'")
    started = await start_service(database, who.user_id, "priya")
    assert started.switched is not None
    assert (started.switched.running, started.switched.changed) == (True, False)
    assert [one.what for one in started.missing if one.what != "calendar"] == ["account"]
    assert await scalar(database, AUDIT) == ""


async def test_each_change_is_audited_once_with_the_generation_and_what_was_cancelled(database: Database) -> None:
    who = await person(database)
    await replay_from(database)
    await execution(database, "sell_monitor", who)
    for _ in range(2):
        await stop_service(database, who.user_id, "ravi")
    for _ in range(2):
        await start_service(database, who.user_id, "priya")
    assert await scalar(database, AUDIT) == "ravi stop, priya start"
    changes = await scalar(database, "SELECT changes FROM audit_logs WHERE action = 'stop'")
    assert changes == {"service_running": [True, False], "generation": [1, 2], "cancelled": 1}


async def test_a_stop_waits_for_who_is_claiming_and_tells_what_still_runs(database: Database) -> None:
    who = await person(database)
    bell, other = await queued(database, "sell_monitor", who), await execution(database, "eod_cleanup", who)
    await worker(database)
    async with database.transaction(None) as claim:
        await LedgerRepository(claim).claim([bell], "w1")
        stopping = asyncio.create_task(stop_service(database, who.user_id, "ravi"))
        done, _ = await asyncio.wait([stopping], timeout=0.3)
        assert not done
    told = await stopping
    assert (told.switched.cancelled, told.running) == (1, 1)
    assert await standing(database, bell.execution_id) == ("running", 1)
    assert await standing(database, other) == ("cancelled", 2)


async def test_a_halt_keeps_nobody_from_starting_and_is_told_of(database: Database) -> None:
    who, other = await stopped(database), await person(database, "bala")
    for user_id, reason in ((who.user_id, "too fast"), (other.user_id, "another's")):
        await change(
            database,
            "INSERT INTO halts (user_id, entries, exits, changes, tasks, reason, created_by) "
            f"VALUES ({user_id}, true, false, false, false, '{reason.replace(chr(39), '')}', 'priya')",
        )
    started = await start_service(database, who.user_id, "ravi")
    assert started.switched is not None
    assert [note for note in started.notes if note.startswith("halt")] == [
        "halt 1 is in force: too fast (priya; `muhurat halts`)"
    ]


async def test_a_look_tells_everything_about_one_service(database: Database) -> None:
    who = await person(database)
    await replay_from(database)
    ended = await execution(database, "order_sync", who, "running")
    await change(
        database,
        f"UPDATE service_task_execution SET status = 'success', finished_at = now() WHERE id = {ended}",
    )
    told = await execution(database, "notify", who, "running")
    async with database.reading(None) as session:
        view = await look_at(session, who.user_id)
    assert (view.service["state"], view.service["generation"], view.service["by"]) == ("running", 1, "a test")
    assert view.last_execution is not None
    assert view.last_execution["id"] == ended
    assert [one["id"] for one in view.in_flight] == [told]
    assert (view.live_orders, view.missing) == ([], [])
    assert [note.partition(":")[0] for note in view.notes] == ["no scheduler runs", "no worker runs"]
    assert view.service["since"] > datetime(2026, 1, 1, tzinfo=UTC)
