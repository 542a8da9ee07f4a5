"""Schedules as people change them: one audited version each, planned at once, and nothing changes by bad input."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from config.servers import ServerUrls
from db.transaction import Database
from scheduler.wakeups import Wakeups
from tests.ops.cli_runs import Commands
from tests.people import person, replay_from, scalar, set_clock

# Tuesday 2024-01-02: a regular session.
TEN = datetime(2024, 1, 2, 4, 30, tzinfo=UTC)
DAY = timedelta(days=1)
_VERSIONS = "SELECT string_agg(version || ' ' || changed_by, ', ' ORDER BY version) FROM schedule_versions"


@pytest.fixture
async def muhurat(
    urls: ServerUrls, database: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Commands:
    await replay_from(database, TEN, days=30)
    commands = Commands(urls, monkeypatch, capsys)
    commands.patch.setenv("MUHURAT_OPERATOR", "ravi")
    return commands


async def plan(database: Database, name: str, at: datetime) -> None:
    """Make a schedule one that has fired whatever lies before a moment."""
    async with database.transaction(None) as session:
        await session.execute(
            text("UPDATE schedules SET next_due_at = :at WHERE name = :name"), {"at": at, "name": name}
        )


def ist_at(hours: int, minutes: int = 0, day: int = 2) -> datetime:
    """Return a moment of January 2024 by its time in IST."""
    return datetime(2024, 1, day, hours, minutes, tzinfo=UTC) - timedelta(hours=5, minutes=30)


async def test_schedules_are_listed_with_what_is_next_and_who_subscribes(database: Database, muhurat: Commands) -> None:
    await person(database)
    await muhurat("schedules", "edit", "buy_orders", "--grace", "20m")
    listed = {one["name"]: one for one in (await muhurat.json("schedules"))["schedules"]}
    assert len(listed) == 15
    buys = listed["buy_orders"]
    assert (buys["subscribers"], buys["grace_seconds"], buys["enabled"]) == (1, 1200, True)
    assert listed["analysis"]["subscribers"] is None
    assert datetime.fromisoformat(buys["last_slot"]) == ist_at(16, 5, day=1)
    assert "close+35m" in await muhurat("schedules", "list")


async def test_an_edit_is_a_version_audited_and_planned_at_once(database: Database, muhurat: Commands) -> None:
    done = await muhurat.json("schedules", "edit", "buy_orders", "--trigger", "at 16:30", "--spread", "10m")
    assert done["version"] == 2
    assert done["changes"] == {"trigger": ["close+35m", "at 16:30"], "spread_seconds": [0, 600]}
    assert datetime.fromisoformat(done["next_due_at"]) == ist_at(16, 30)
    assert await scalar(database, "SELECT next_due_at FROM schedules WHERE name = 'buy_orders'") == ist_at(16, 30)
    assert await scalar(database, _VERSIONS) == "1 seed, 2 ravi"
    audit = "SELECT actor || ' ' || action || ' ' || resource_type FROM audit_logs"
    assert await scalar(database, audit) == "ravi update schedule"
    versions = (await muhurat.json("schedules", "versions", "buy_orders"))["versions"]
    assert [one["version"] for one in versions] == [2, 1]
    assert versions[0]["changes"]["trigger"] == ["close+35m", "at 16:30"]


async def test_an_edit_that_changes_nothing_makes_no_version(database: Database, muhurat: Commands) -> None:
    assert (await muhurat.json("schedules", "edit", "buy_orders", "--trigger", "close+35m"))["version"] == 1
    assert await scalar(database, "SELECT count(*) FROM schedule_versions") == 0
    assert await scalar(database, "SELECT count(*) FROM audit_logs") == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--trigger", "at 25:00"), "write it like 'at 16:05'"),
        (("--catch-up", "some"), "--catch-up 'some': use one of none, last, all"),
        (("--grace", "soon"), "--grace soon: write a span like"),
        (("--max-runs", "0"), "--max-runs 0: write a number"),
        (("--starts", "tomorrow"), "--starts tomorrow: write a time in IST"),
        ((), "say what to change"),
    ],
)
async def test_bad_input_is_refused_with_field_value_and_example_and_changes_nothing(
    database: Database, muhurat: Commands, words: tuple[str, ...], said: str
) -> None:
    whole = "SELECT md5(string_agg(s::text, '' ORDER BY id)) FROM schedules s"
    before = await scalar(database, whole)
    assert said in await muhurat("schedules", "edit", "buy_orders", *words, code=2)
    assert await scalar(database, whole) == before
    assert await scalar(database, "SELECT count(*) FROM schedule_versions") == 0


async def test_what_is_not_there_is_named(muhurat: Commands) -> None:
    for words in (("edit", "nosuch", "--grace", "1m"), ("enable", "nosuch"), ("show", "nosuch"), ("run-now", "nosuch")):
        assert "there is no schedule 'nosuch'" in await muhurat("schedules", *words, code=2)


async def test_a_shared_schedule_is_added_without_a_user(database: Database, muhurat: Commands) -> None:
    words = ("--task", "retention", "--scope", "shared", "--trigger", "close+4h")
    done = await muhurat.json("schedules", "add", "evening tidying", *words)
    assert (done["version"], datetime.fromisoformat(done["next_due_at"])) == (1, ist_at(19, 30))
    assert "there is one of that name" in await muhurat("schedules", "add", "evening tidying", *words, code=2)
    assert await scalar(database, "SELECT count(*) FROM schedule_subscriptions") == 0


async def test_a_schedule_is_added_for_everyone_and_for_who_signs_up_later(
    database: Database, muhurat: Commands
) -> None:
    await person(database, "asha")
    words = ("--task", "order_sync", "--trigger", "at 20:30", "--everyone")
    assert (await muhurat.json("schedules", "add", "late sync", *words))["subscribed"] == 1
    await person(database, "bala")
    assert (await muhurat.json("schedules", "show", "late sync"))["subscribers"]["fires"] == 2


async def test_an_unknown_task_is_refused_with_those_there_are(muhurat: Commands) -> None:
    said = await muhurat("schedules", "add", "x", "--task", "nosuch", "--trigger", "open", code=2)
    assert "'nosuch'" in said
    assert "order_sync" in said


async def test_what_was_missed_while_off_is_not_caught_up(database: Database, muhurat: Commands) -> None:
    await muhurat("schedules", "disable", "buy_orders")
    assert await scalar(database, "SELECT enabled FROM schedules WHERE name = 'buy_orders'") is False
    await set_clock(database, ist_at(20))
    done = await muhurat.json("schedules", "enable", "buy_orders")
    assert datetime.fromisoformat(done["next_due_at"]) == ist_at(16, 5, day=3)
    assert await scalar(database, _VERSIONS) == "1 seed, 2 ravi, 3 ravi"


async def test_a_time_moved_after_it_fired_begins_the_next_day(database: Database, muhurat: Commands) -> None:
    await set_clock(database, ist_at(16, 10))
    await plan(database, "buy_orders", ist_at(16, 5, 3))
    done = await muhurat.json("schedules", "edit", "buy_orders", "--trigger", "at 16:30")
    assert datetime.fromisoformat(done["held_until"]) == ist_at(0, day=3)
    assert datetime.fromisoformat(done["next_due_at"]) == ist_at(16, 30, day=3)
    again = await muhurat.json("schedules", "edit", "buy_orders", "--trigger", "at 17:00")
    assert datetime.fromisoformat(again["next_due_at"]) == ist_at(17, 0, day=3)


async def test_a_time_moved_before_it_fired_to_one_that_has_passed_fires_at_once(
    database: Database, muhurat: Commands
) -> None:
    await muhurat("schedules", "edit", "buy_orders", "--trigger", "at 16:30")
    await set_clock(database, ist_at(16, 10))
    done = await muhurat.json("schedules", "edit", "buy_orders", "--trigger", "at 16:05")
    assert datetime.fromisoformat(done["next_due_at"]) == datetime.fromisoformat(done["joins"]) == ist_at(16, 5)


async def test_versions_are_compared_slot_by_slot(muhurat: Commands) -> None:
    await muhurat("schedules", "edit", "buy_orders", "--trigger", "at 16:30")
    words = ("schedules", "diff", "buy_orders@1", "buy_orders@2", "--from", "2024-01-02", "--days", "5")
    found = await muhurat.json(*words)
    # Tuesday to Saturday, of which four are sessions.
    assert (found["moves"], found["comes"], found["goes"], found["same"]) == (4, 0, 0, 0)
    assert [one["day"] for one in found["differences"]] == ["2024-01-02", "2024-01-03", "2024-01-04", "2024-01-05"]
    assert "4 move" in await muhurat(*words)


async def test_a_schedule_is_compared_with_a_proposed_trigger(muhurat: Commands) -> None:
    words = ("--from", "2024-01-02", "--days", "30")
    found = await muhurat.json("schedules", "diff", "eod_cleanup", "close on last session of month", *words)
    assert found["goes"] > 15
    assert found["moves"] == 1
    assert "write it like" in await muhurat("schedules", "diff", "eod_cleanup", "sometimes", code=2)
    assert "never had a version 9" in await muhurat("schedules", "diff", "eod_cleanup@9", "open", code=2)


@pytest.mark.parametrize(
    "words",
    [
        ("schedules", "edit", "buy_orders", "--grace", "20m"),
        ("schedules", "disable", "buy_orders"),
        ("schedules", "add", "late", "--task", "housekeeping", "--scope", "shared", "--trigger", "at 21:00"),
        ("schedules", "run-now", "housekeeping"),
        ("subscriptions", "override", "asha@example.org", "buy_orders", "at 16:30"),
        ("subscriptions", "pause", "asha@example.org", "buy_orders"),
        ("subscriptions", "resume", "asha@example.org", "buy_orders"),
        ("subscriptions", "unsubscribe", "asha@example.org", "buy_orders"),
    ],
    ids=" ".join,
)
async def test_a_scheduler_that_sleeps_hears_of_a_change(
    database: Database, muhurat: Commands, urls: ServerUrls, words: tuple[str, ...]
) -> None:
    await person(database)
    wakeups = Wakeups(urls.database)
    try:
        await wakeups.wait(0.01)
        await muhurat(*words)
        assert await wakeups.wait(10)
    finally:
        await wakeups.close()


async def test_switched_off_and_on_again_a_day_has_no_second_slot(database: Database, muhurat: Commands) -> None:
    await set_clock(database, ist_at(16, 10))
    await plan(database, "buy_orders", ist_at(16, 5, day=3))
    await muhurat("schedules", "edit", "buy_orders", "--trigger", "at 16:30")
    await muhurat("schedules", "disable", "buy_orders")
    done = await muhurat.json("schedules", "enable", "buy_orders")
    assert datetime.fromisoformat(done["next_due_at"]) == ist_at(16, 30, day=3)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("trigger = 'nonsense'", "trigger 'nonsense', character 1: "),
        ("task_name = 'gone_task'", "task_name 'gone_task': no worker knows such a task"),
        ("exchange = 'NOWHERE'", "no calendar of NOWHERE is loaded"),
        ("fault = 'the database refuses it'", "the database refuses it"),
    ],
)
async def test_one_that_cannot_be_fired_is_told_of_with_the_reason_and_what_to_do(
    database: Database, muhurat: Commands, change: str, said: str
) -> None:
    async with database.transaction(None) as session:
        await session.execute(text(f"UPDATE schedules SET {change} WHERE name = 'buy_orders'"))
    for command in (["schedules", "list"], ["schedules", "show", "buy_orders"], ["schedules", "preview"]):
        told = await muhurat(*command)
        assert f"buy_orders cannot fire: {said}" in told
        assert "muhurat schedules disable 'buy_orders'" in told
    listed = {one["name"]: one["fault"] for one in (await muhurat.json("schedules"))["schedules"]}
    assert listed.pop("buy_orders").startswith(said)
    assert set(listed.values()) == {None}
    await muhurat("schedules", "disable", "buy_orders")
    assert "cannot fire" not in await muhurat("schedules", "list")
