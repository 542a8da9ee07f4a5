"""The doctor names what is wrong, where, and the cure; and ends with a code that a script can read."""

import json
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from config.servers import ServerUrls
from db.transaction import Database
from ops.doctor import _calendar, _judge_redis, _partitions, examine
from tests.ops.cli_runs import Commands
from tests.people import person


@pytest.fixture
def muhurat(urls: ServerUrls, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Commands:
    return Commands(urls, monkeypatch, capsys)


async def _states(muhurat: Commands, code: int = 0) -> dict[str, tuple[str, str]]:
    ended_early = code and await muhurat("doctor", "--json", code=code, out=True)
    said = ended_early or await muhurat("doctor", "--json")
    return {check["name"]: (check["state"], check["said"]) for check in json.loads(said)["checks"]}


async def test_a_fresh_installation_has_nothing_that_fails(database: Database, muhurat: Commands) -> None:
    states = await _states(muhurat)
    assert {name for name, (state, _) in states.items() if state == "failed"} == set()
    assert {"schema", "postgres", "connections", "clock", "partitions", "calendar", "prices", "redis"} <= set(states)
    assert states["prices"][0] == "warning"


async def test_a_broken_record_is_named_with_its_cure(database: Database, muhurat: Commands) -> None:
    asha = await person(database)
    async with database.transaction(None) as session:
        await session.execute(text("UPDATE broker_accounts SET cash = 1 WHERE id = :id"), {"id": asha.account_id})
    states = await _states(muhurat, code=1)
    assert "find the booking" in states["cash_is_what_was_traded"][1]
    assert "start one" in states["a_scheduler_beats"][1]


async def test_the_rows_of_a_broken_invariant_are_in_the_json(database: Database, muhurat: Commands) -> None:
    asha = await person(database)
    async with database.transaction(None) as session:
        await session.execute(text("UPDATE broker_accounts SET cash = 1 WHERE id = :id"), {"id": asha.account_id})
    checks = json.loads(await muhurat("doctor", "--json", code=1, out=True))["checks"]
    (broken,) = [check for check in checks if check["name"] == "cash_is_what_was_traded"]
    assert (broken["rows"][0]["account_id"], broken["rows"][0]["cash"]) == (asha.account_id, "1.00")


async def test_a_database_that_is_away_is_said_in_one_line_beside_redis(muhurat: Commands) -> None:
    muhurat.patch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    states = await _states(muhurat, code=1)
    assert {name: state for name, (state, _) in states.items()} == {
        "settings": "ok", "schema": "failed", "redis": "ok",
    }  # fmt: skip
    assert "cannot reach Postgres" in states["schema"][1]
    assert "\n" not in states["schema"][1]


async def test_settings_that_cannot_be_read_are_the_finding(muhurat: Commands) -> None:
    muhurat.patch.delenv("REDIS_URL")
    states = await _states(muhurat, code=1)
    assert states == {"settings": ("failed", "REDIS_URL is not set: DATABASE_URL is; set both or neither")}


async def test_clocks_that_differ_are_a_warning_with_the_cure(database: Database, urls: ServerUrls) -> None:
    checks = {one.name: one for one in await examine(database, urls, lambda: datetime(2024, 1, 1, tzinfo=UTC))}
    assert checks["clock"].state == "warning"
    assert "set both by NTP" in checks["clock"].said


async def test_a_calendar_that_ends_and_partitions_that_run_out_are_found(database: Database, urls: ServerUrls) -> None:
    async with database.transaction(None) as session:
        await session.execute(text("UPDATE market_calendars SET last_day = now()::date - 1"))
        await session.execute(text("DELETE FROM market_sessions WHERE day >= now()::date"))
        await session.execute(text("ALTER TABLE decisions RENAME TO decisions_before"))
        await session.execute(text("CREATE TABLE decisions (LIKE decisions_before) PARTITION BY RANGE (day)"))
        calendar, partitions = await _calendar(session), await _partitions(session)
        await session.rollback()
    assert (calendar[0].state, partitions[0].state) == ("failed", "failed")
    assert "decisions end within a week" in partitions[0].said


async def test_redis_that_is_away_is_one_finding_among_the_others(database: Database, muhurat: Commands) -> None:
    muhurat.patch.setenv("REDIS_URL", "redis://127.0.0.1:1")
    states = await _states(muhurat, code=1)
    assert states["redis"][0] == "failed"
    assert states["schema"][0] == "ok"


@pytest.mark.parametrize(
    ("facts", "processes", "state"),
    [
        ({"redis_version": "7.2.4", "maxclients": 100}, 2, "ok"),
        ({"redis_version": "6.0.9"}, 2, "failed"),
        ({"redis_version": "7.2.4", "maxmemory": 1000, "maxmemory_policy": "allkeys-lru"}, 2, "warning"),
        ({"redis_version": "7.2.4", "maxclients": 20}, 5, "warning"),
    ],
)
def test_a_redis_that_is_too_old_forgetful_or_small_is_said_to_be_so(
    facts: dict[str, object], processes: int, state: str
) -> None:
    assert _judge_redis(facts, processes).state == state
