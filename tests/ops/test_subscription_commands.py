"""Subscriptions as people change them: who shares a time shares a schedule, and no day's slot is doubled or lost."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from config.servers import ServerUrls
from db.own_times import OwnTimeRepository
from db.schedule_edits import ScheduleEditRepository
from db.transaction import Database
from db.users import UserRepository
from tests.ops.cli_runs import Commands
from tests.people import Person, person, replay_from, scalar, set_clock
from trading.config import DEFAULTS

MORNING = datetime(2024, 1, 2, 4, 30, tzinfo=UTC)
_SCHEDULES = "SELECT string_agg(name || CASE WHEN enabled THEN '' ELSE ' off' END, ', ' ORDER BY id) FROM schedules "
OWN = _SCHEDULES + "WHERE base_id IS NOT NULL"
_WHERE = (
    "SELECT string_agg(d.name, ', ' ORDER BY s.id) FROM schedule_subscriptions s JOIN schedules d ON d.id = s.schedule_id "
    "WHERE d.task_name = 'buy_orders'"
)


@pytest.fixture
async def muhurat(
    urls: ServerUrls, database: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Commands:
    await replay_from(database, MORNING, days=30)
    commands = Commands(urls, monkeypatch, capsys)
    commands.patch.setenv("MUHURAT_OPERATOR", "ravi")
    return commands


def ist_at(hours: int, minutes: int = 0, day: int = 2) -> datetime:
    """Return a moment of January 2024 by its time in IST."""
    return datetime(2024, 1, day, hours, minutes, tzinfo=UTC) - timedelta(hours=5, minutes=30)


async def fired(database: Database, who: Person, at: datetime) -> None:
    """Make an account one that had its buys at a moment, and the schedule one that went on."""
    made = (
        "INSERT INTO service_task_execution (scheduled_for, task_name, user_id, account_id, queue, status, as_of, "
        "schedule_id, executed_at) SELECT :at, 'buy_orders', :user_id, :account_id, 'strategy', 'success', :at, id, now() "
        "FROM schedules WHERE name = 'buy_orders'"
    )
    async with database.transaction(None) as session:
        await session.execute(text(made), {"at": at, "user_id": who.user_id, "account_id": who.account_id})
        later = "UPDATE schedules SET next_due_at = :at WHERE name = 'buy_orders'"
        await session.execute(text(later), {"at": at + timedelta(days=1)})


async def plan_all(database: Database) -> None:
    """Plan the buys as a scheduler would have done in the morning."""
    async with database.transaction(None) as session:
        due = {"at": ist_at(16, 5)}
        await session.execute(text("UPDATE schedules SET next_due_at = :at WHERE name = 'buy_orders'"), due)


async def test_two_users_of_one_time_share_one_schedule(database: Database, muhurat: Commands) -> None:
    await person(database, "asha"), await person(database, "bala"), await person(database, "chitra")
    await muhurat("subscriptions", "override", "asha@example.org", "buy_orders", "at 16:30")
    done = await muhurat.json("subscriptions", "override", "bala@example.org", "buy_orders", "AT  16:30")
    assert done["fires_by"] == "buy_orders at 16:30"
    assert datetime.fromisoformat(done["next_due_at"]) == ist_at(16, 30)
    assert await scalar(database, OWN) == "buy_orders at 16:30"
    assert await scalar(database, _WHERE) == "buy_orders at 16:30, buy_orders at 16:30, buy_orders"
    policies = "SELECT count(DISTINCT (task_name, scope, condition, overlap, catch_up)) FROM schedules WHERE task_name = 'buy_orders'"
    assert await scalar(database, policies) == 1


async def test_a_time_nobody_uses_any_more_is_switched_off_and_found_again(
    database: Database, muhurat: Commands
) -> None:
    await person(database, "asha")
    await muhurat("subscriptions", "override", "asha@example.org", "buy_orders", "at 16:30")
    await muhurat("subscriptions", "override", "asha@example.org", "buy_orders at 16:30", "at 17:00")
    assert await scalar(database, OWN) == "buy_orders at 16:30 off, buy_orders at 17:00"
    await muhurat("subscriptions", "override", "asha@example.org", "buy_orders", "at 16:30")
    assert await scalar(database, OWN) == "buy_orders at 16:30, buy_orders at 17:00 off"
    await muhurat("subscriptions", "override", "asha@example.org", "buy_orders", "--default")
    assert await scalar(database, OWN) == "buy_orders at 16:30 off, buy_orders at 17:00 off"
    assert await scalar(database, _WHERE) == "buy_orders"
    assert await scalar(database, "SELECT count(base_id) FROM schedule_subscriptions") == 0


async def test_of_two_who_choose_one_time_at_once_the_second_finds_the_firsts(database: Database) -> None:
    await replay_from(database, MORNING, days=30)
    people = [await person(database, f"user{number}") for number in range(4)]

    async def choose(who: Person) -> str:
        async with database.transaction(None) as session:
            edits = ScheduleEditRepository(session)
            ground = await edits.ground()
            base = await edits.hold("buy_orders")
            assert base is not None
            own = OwnTimeRepository(session)
            target, _ = await own.choose(ground, base, who.user_id, "at 16:30", "ravi")
            return target.name

    names = await asyncio.gather(*(choose(who) for who in people))
    assert set(names) == {"buy_orders at 16:30"}
    assert await scalar(database, OWN) == "buy_orders at 16:30"


async def test_moved_to_a_later_time_after_the_days_slot_it_fires_from_the_next_day(
    database: Database, muhurat: Commands
) -> None:
    asha = await person(database)
    await fired(database, asha, ist_at(16, 5))
    await set_clock(database, ist_at(16, 10))
    words = ("subscriptions", "override", "asha@example.org", "buy_orders")
    done = await muhurat.json(*words, "at 16:30")
    assert datetime.fromisoformat(done["held_until"]) == ist_at(0, day=3)
    assert "has fired already" in done["today"]
    # However often the time is changed on that day.
    assert datetime.fromisoformat((await muhurat.json(*words, "at 17:00"))["held_until"]) == ist_at(0, day=3)
    held = "SELECT paused_until FROM schedule_subscriptions WHERE base_id IS NOT NULL"
    assert await scalar(database, held) == ist_at(0, day=3)


async def test_a_resumed_user_is_not_asked_twice_a_day(database: Database, muhurat: Commands) -> None:
    asha = await person(database)
    await fired(database, asha, ist_at(16, 5))
    await set_clock(database, ist_at(16, 10))
    await muhurat("subscriptions", "override", "asha@example.org", "buy_orders", "at 16:30")
    await muhurat("subscriptions", "pause", "asha@example.org", "buy_orders")
    done = await muhurat.json("subscriptions", "resume", "asha@example.org", "buy_orders")
    assert datetime.fromisoformat(done["held_until"]) == ist_at(0, day=3)


async def test_moved_to_a_time_that_has_passed_before_the_days_slot_it_is_made_up_for(
    database: Database, muhurat: Commands
) -> None:
    asha = await person(database)
    await plan_all(database)
    words = ("subscriptions", "override", "asha@example.org", "buy_orders")
    await muhurat(*words, "at 16:30")
    await set_clock(database, ist_at(16, 10))
    done = await muhurat.json(*words, "--default")
    assert datetime.fromisoformat(done["joins"]) == ist_at(16, 5)
    assert len(done["executions"]) == 1
    row = "SELECT user_id || ' ' || status || ' ' || subject FROM service_task_execution WHERE scheduled_for = :at"
    assert await scalar(database, row, at=ist_at(16, 5)) == f"{asha.user_id} waiting "


async def test_a_stopped_service_has_nothing_made_up_for(database: Database, muhurat: Commands) -> None:
    await person(database)
    await plan_all(database)
    await muhurat("subscriptions", "override", "asha@example.org", "buy_orders", "at 16:30")
    await set_clock(database, ist_at(16, 10))
    async with database.transaction(None) as session:
        await session.execute(text("UPDATE service_status SET service_running = false"))
    assert (await muhurat.json("subscriptions", "override", "asha@example.org", "buy_orders", "--default"))[
        "executions"
    ] == []


async def test_a_later_account_has_its_users_own_times(database: Database, muhurat: Commands) -> None:
    asha = await person(database)
    await muhurat("subscriptions", "override", "asha@example.org", "buy_orders", "at 16:30")
    async with database.transaction(None) as session:
        await UserRepository(session).add_paper_account(asha.user_id, "second", DEFAULTS, MORNING)
    await person(database, "bala")
    assert await scalar(database, _WHERE) == "buy_orders at 16:30, buy_orders at 16:30, buy_orders"


async def test_policies_of_a_schedule_go_for_own_times_and_their_times_stay(
    database: Database, muhurat: Commands
) -> None:
    await person(database)
    await muhurat("subscriptions", "override", "asha@example.org", "buy_orders", "at 16:30")
    done = await muhurat.json("schedules", "edit", "buy_orders", "--grace", "20m", "--trigger", "at 16:00")
    assert done["own_times_changed"] == 1
    own = "SELECT trigger || ' ' || grace_seconds FROM schedules WHERE base_id IS NOT NULL"
    assert await scalar(database, own) == "at 16:30 1200"
    await muhurat("schedules", "disable", "buy_orders")
    assert await scalar(database, OWN) == "buy_orders at 16:30 off"
    await muhurat("schedules", "enable", "buy_orders")
    assert await scalar(database, OWN) == "buy_orders at 16:30"


async def test_task_switches_reach_own_times(database: Database, muhurat: Commands) -> None:
    await person(database)
    await muhurat("subscriptions", "override", "asha@example.org", "buy_orders", "at 16:30")
    await muhurat("config", "set", "--user", "asha@example.org", 'task_schedule={"buy_orders": false}')
    rows = (await muhurat.json("subscriptions", "--user", "asha@example.org"))["subscriptions"]
    assert [one["enabled"] for one in rows if one["own_time_of"] == "buy_orders"] == [False]


async def test_a_pause_has_who_why_and_until(database: Database, muhurat: Commands) -> None:
    await person(database)
    who = ("asha@example.org", "buy_orders")
    await muhurat("subscriptions", "pause", *who, "--until", "2024-01-05 09:00", "--reason", "a holiday")
    row = next(
        one
        for one in (await muhurat.json("subscriptions", "--user", who[0]))["subscriptions"]
        if one["schedule"] == "buy_orders"
    )
    assert (row["paused"], row["paused_by"], row["pause_reason"]) == (True, "ravi", "a holiday")
    assert datetime.fromisoformat(row["paused_until"]) == ist_at(9, day=5)
    assert "is not after market now" in await muhurat("subscriptions", "pause", *who, "--until", "2024-01-01", code=2)
    await muhurat("subscriptions", "resume", *who)
    assert await scalar(database, "SELECT count(paused_until) FROM schedule_subscriptions") == 0
    actions = "SELECT string_agg(actor || ' ' || action, ', ' ORDER BY id) FROM audit_logs WHERE resource_type = 'subscription'"
    assert await scalar(database, actions) == "ravi pause, ravi resume"


async def test_one_account_is_unsubscribed_and_subscribed_again(database: Database, muhurat: Commands) -> None:
    asha, bala = await person(database), await person(database, "bala")
    who = ("asha@example.org", "order_sync evening")
    assert (await muhurat.json("subscriptions", "unsubscribe", *who, "--account", str(asha.account_id)))["changed"] == 1
    off = "SELECT count(*) FROM schedule_subscriptions WHERE NOT enabled"
    assert await scalar(database, off) == 1
    assert (await muhurat.json("subscriptions", "subscribe", *who))["changed"] == 1
    assert await scalar(database, off) == 0
    said = await muhurat("subscriptions", "subscribe", *who, "--account", str(bala.account_id), code=2)
    assert "is none of asha@example.org" in said
    assert "nobody subscribes" in await muhurat("subscriptions", "subscribe", who[0], "prices", code=2)


async def test_nobody_moves_while_a_schedule_is_being_fired(
    database: Database, muhurat: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    await person(database)
    monkeypatch.setattr("ops.cli.patience.PATIENCE_SECONDS", 0.0)
    async with database.transaction(None) as session:
        await session.execute(text("UPDATE schedules SET firing_slot = now() WHERE name = 'buy_orders'"))
    said = await muhurat("subscriptions", "override", "asha@example.org", "buy_orders", "at 16:30", code=2)
    assert "is being fired at this moment; nothing was changed" in said
    assert await scalar(database, _WHERE) == "buy_orders"


async def test_an_own_time_at_which_the_task_cannot_act_is_refused_and_nothing_changes(
    database: Database, muhurat: Commands
) -> None:
    await person(database)
    said = await muhurat("subscriptions", "override", "asha@example.org", "sell_monitor", "at 03:00", code=2)
    assert "sell_monitor can only act" in said
    assert "write it like" in said
    assert await scalar(database, "SELECT count(*) FROM schedules WHERE base_id IS NOT NULL") == 0
    assert await scalar(database, "SELECT count(base_id) FROM schedule_subscriptions") == 0


async def test_an_own_time_is_not_edited_by_itself(database: Database, muhurat: Commands) -> None:
    await person(database)
    await muhurat("subscriptions", "override", "asha@example.org", "buy_orders", "at 16:30")
    for words in (("edit", "buy_orders at 16:30", "--grace", "1m"), ("disable", "buy_orders at 16:30")):
        assert "is an own time that users chose" in await muhurat("schedules", *words, code=2)


@pytest.mark.parametrize("trigger", ["once 2024-01-05T16:30+05:30", "on request"])
async def test_an_own_time_that_would_not_come_again_is_refused(
    database: Database, muhurat: Commands, trigger: str
) -> None:
    await person(database)
    said = await muhurat("subscriptions", "override", "asha@example.org", "buy_orders", trigger, code=2)
    assert f"trigger {trigger!r}: an own time must come again by itself; write it like 'at 16:30'" in said
    assert await scalar(database, "SELECT count(*) FROM schedules WHERE base_id IS NOT NULL") == 0
