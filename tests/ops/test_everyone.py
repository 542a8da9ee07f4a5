"""A schedule added for everyone, whose command is killed half-way: the same command goes on with it."""

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL

import pytest
from sqlalchemy import text

from config.servers import ServerUrls
from db.transaction import Database
from ops.doors import ROOT
from tests.ops.cli_runs import Commands
from tests.people import person, replay_from, scalar
from tests.waiting import until

WORDS = ("schedules", "add", "late sync", "--task", "order_sync", "--trigger", "at 20:30", "--everyone")
SUBSCRIBED = (
    "SELECT count(*) FROM schedule_subscriptions s JOIN schedules d ON d.id = s.schedule_id WHERE d.name = 'late sync'"
)
STARTED_SECONDS = 30.0
# Further on than one transaction subscribes.
FAR = 20_000


@pytest.fixture
async def muhurat(
    urls: ServerUrls, database: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Commands:
    await replay_from(database)
    commands = Commands(urls, monkeypatch, capsys)
    monkeypatch.setenv("MUHURAT_OPERATOR", "ravi")
    return commands


async def _two_far_apart(database: Database) -> int:
    """Sign up two, whose accounts are subscribed by different transactions. Returns the second account."""
    await person(database, "asha")
    async with database.transaction(None) as session:
        await session.execute(text(f"SELECT setval(pg_get_serial_sequence('broker_accounts', 'id'), {FAR})"))
    return (await person(database, "bala")).account_id


async def test_a_command_killed_half_way_is_finished_by_the_same_command(database: Database, muhurat: Commands) -> None:
    account = await _two_far_apart(database)
    async with database.transaction(None) as ours:
        await ours.execute(text("SELECT 1 FROM broker_accounts WHERE id = :id FOR UPDATE"), {"id": account})
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "ops.cli", *WORDS, cwd=ROOT, env=dict(os.environ), stdout=DEVNULL, stderr=DEVNULL
        )

        async def has_begun() -> bool:
            return await scalar(database, SUBSCRIBED) == 1

        try:
            await until(has_begun, STARTED_SECONDS)
        finally:
            process.kill()
            await process.wait()
    assert await scalar(database, SUBSCRIBED) == 1
    told = await muhurat(*WORDS)
    assert "late sync is there already, as it is wanted" in told
    assert "subscribed 1\n" in told
    assert "subscribers 2\n" in told
    assert await scalar(database, SUBSCRIBED) == 2
    again = await muhurat.json(*WORDS)
    assert (again["subscribed"], again["subscribers"], again["version"]) == (0, 2, 1)


async def test_whoever_left_or_has_an_own_time_meanwhile_is_left_alone(database: Database, muhurat: Commands) -> None:
    for name in ("asha", "bala", "chitra"):
        await person(database, name)
    await muhurat(*WORDS)
    await muhurat("subscriptions", "override", "asha@example.org", "late sync", "at 21:00")
    await muhurat("subscriptions", "unsubscribe", "bala@example.org", "late sync")
    assert (await muhurat.json(*WORDS))["subscribed"] == 0
    on = (
        "SELECT string_agg(d.name || ' ' || s.user_id || ' ' || s.enabled, ', ' ORDER BY s.user_id) "
        "FROM schedule_subscriptions s JOIN schedules d ON d.id = s.schedule_id WHERE d.name LIKE 'late sync%'"
    )
    assert await scalar(database, on) == "late sync at 21:00 1 true, late sync 2 false, late sync 3 true"


async def test_another_schedule_of_that_name_is_not_taken_for_it(database: Database, muhurat: Commands) -> None:
    await muhurat(*WORDS)
    other = [word if word != "at 20:30" else "at 20:45" for word in WORDS]
    assert "there is one of that name" in await muhurat(*other, code=2)
    assert "there is one of that name" in await muhurat(*WORDS[:-1], code=2)
