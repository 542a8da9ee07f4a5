"""The doctor names what is wrong, where, and the cure; and ends with a code that a script can read."""

import pytest
from sqlalchemy import text

from config.servers import ServerUrls
from db.transaction import Database
from ops.doctor import _judge_redis
from tests.ops.cli_runs import Commands
from tests.people import person


@pytest.fixture
def muhurat(urls: ServerUrls, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Commands:
    return Commands(urls, monkeypatch, capsys)


async def _states(muhurat: Commands, code: int = 0) -> dict[str, tuple[str, str]]:
    import json

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
