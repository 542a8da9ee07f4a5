"""A run on request: an execution of its own identity, for whoever is to be asked, and nobody twice."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from config.servers import ServerUrls
from db.transaction import Database
from scheduler.ringer import Ringer
from scheduler.sweep import Sweep
from tests.ops.cli_runs import Commands
from tests.people import person, replay_from, scalar, set_clock
from tests.scheduler.messages import ready
from worker.bells.ringing import Bells

ASHA = "asha@example.org"
# Tuesday 2024-01-02, 20:00 IST: the day's slots have passed.
EVENING = datetime(2024, 1, 2, 14, 30, tzinfo=UTC)
ROWS = "SELECT count(*) FROM service_task_execution"


@pytest.fixture
async def muhurat(
    urls: ServerUrls, database: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Commands:
    await replay_from(database, EVENING, days=30)
    commands = Commands(urls, monkeypatch, capsys)
    commands.patch.setenv("MUHURAT_OPERATOR", "ravi")
    return commands


async def test_it_does_the_work_of_the_latest_slot_under_a_subject_of_its_own(
    database: Database, muhurat: Commands
) -> None:
    asha = await person(database)
    done = await muhurat.json("schedules", "run-now", "buy_orders", "--user", ASHA)
    assert (done["made"], done["subscribers"]) == (1, 1)
    assert done["subject"].startswith("manual:")
    assert datetime.fromisoformat(done["as_of"]) == datetime(2024, 1, 2, 10, 35, tzinfo=UTC)
    assert datetime.fromisoformat(done["useful_until"]) == datetime(2024, 1, 3, 3, 20, tzinfo=UTC)
    row = "SELECT user_id || ' ' || status || ' ' || (waiting_for IS NOT NULL) FROM service_task_execution"
    assert await scalar(database, row) == f"{asha.user_id} waiting true"
    audit = "SELECT actor || ' ' || action || ' ' || resource_type FROM audit_logs"
    assert await scalar(database, audit) == "ravi run schedule"


async def test_nobody_is_asked_twice_while_the_first_is_under_way(database: Database, muhurat: Commands) -> None:
    await person(database), await person(database, "bala")
    await muhurat("schedules", "run-now", "buy_orders", "--user", ASHA)
    done = await muhurat.json("schedules", "run-now", "buy_orders")
    assert (done["made"], done["subscribers"], len(done["under_way"])) == (1, 2, 1)
    assert (await muhurat.json("schedules", "run-now", "buy_orders"))["made"] == 0
    assert await scalar(database, ROWS) == 2


async def test_a_slot_that_is_under_way_stands_for_it(database: Database, muhurat: Commands) -> None:
    asha = await person(database)
    async with database.transaction(None) as session:
        made = (
            "INSERT INTO service_task_execution (scheduled_for, task_name, user_id, account_id, queue, status, as_of) "
            "VALUES (:at, 'buy_orders', :user_id, :account_id, 'strategy', 'waiting', :at)"
        )
        slot = datetime(2024, 1, 2, 10, 35, tzinfo=UTC)
        await session.execute(text(made), {"at": slot, "user_id": asha.user_id, "account_id": asha.account_id})
    assert (await muhurat.json("schedules", "run-now", "buy_orders"))["made"] == 0


async def test_who_paused_stopped_or_switched_off_is_not_asked(database: Database, muhurat: Commands) -> None:
    for name in ("asha", "bala", "chitra", "deepa"):
        await person(database, name)
    await muhurat("subscriptions", "pause", "asha@example.org", "order_sync evening")
    await muhurat("subscriptions", "unsubscribe", "bala@example.org", "order_sync evening")
    async with database.transaction(None) as session:
        await session.execute(
            text(
                "UPDATE service_status SET service_running = false "
                "WHERE user_id = (SELECT id FROM users WHERE name = 'chitra')"
            )
        )
    done = await muhurat.json("schedules", "run-now", "order_sync evening")
    assert (done["made"], done["subscribers"]) == (1, 1)


async def test_it_is_rung_by_the_next_look_and_a_halt_holds_it_back(
    database: Database, bells: Bells, muhurat: Commands
) -> None:
    await person(database)
    await muhurat("schedules", "run-now", "order_sync evening")
    async with database.transaction(None) as session:
        halt = (
            "INSERT INTO halts (task_name, entries, exits, changes, tasks, reason, created_by) "
            "VALUES ('order_sync', false, false, false, true, 'a look', 'ravi')"
        )
        await session.execute(text(halt))
    sweep = Sweep(database, Ringer(bells), lease_seconds=10, every_seconds=0.0, share=8)
    await sweep.ring_due()
    assert await ready(bells, "orders") == []
    async with database.transaction(None) as session:
        await session.execute(text("UPDATE halts SET ended_at = now(), ended_by = 'ravi'"))
    await sweep.ring_due()
    assert len(await ready(bells, "orders")) == 1


async def test_shared_work_keeps_the_subject_that_others_look_for(database: Database, muhurat: Commands) -> None:
    await person(database)
    done = await muhurat.json("schedules", "run-now", "analysis")
    assert (done["made"], done["subject"]) == (1, None)
    subject = "SELECT subject LIKE 'dip:%' FROM service_task_execution"
    assert await scalar(database, subject) is True
    assert (await muhurat.json("schedules", "run-now", "prices"))["made"] == 1
    assert "leave --user out" in await muhurat("schedules", "run-now", "prices", "--user", ASHA, code=2)


async def test_what_is_too_late_or_too_early_is_refused_and_says_when(database: Database, muhurat: Commands) -> None:
    await person(database)
    # Wednesday 09:00 IST: too late for Tuesday's buys, and Wednesday's stand on a close to come.
    await set_clock(database, EVENING + timedelta(hours=13))
    said = await muhurat("schedules", "run-now", "buy_orders", code=2)
    assert "what it stands on is not there before 2024-01-03 15:30 IST" in said
    assert await scalar(database, ROWS) == 0
    await set_clock(database, EVENING)
    assert "cannot be run now" in await muhurat("schedules", "run-now", "sell_monitor", code=2)
