"""An operator sees at one look how today goes, also while Redis is away."""

from datetime import timedelta

import pytest
from sqlalchemy import event, text

from config.servers import ServerUrls
from db.transaction import Database
from tests.ops.cli_runs import Commands
from tests.people import MORNING, person, queued, replay_from, worker

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def muhurat(urls: ServerUrls, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Commands:
    return Commands(urls, monkeypatch, capsys)


async def _scene(database: Database) -> None:
    """Tuesday morning: two users, one sync done, one late, one due, and a purchase that waits for a sync."""
    await replay_from(database)
    asha, bala = await person(database, "asha"), await person(database, "bala")
    await worker(database)
    done = await queued(database, "order_sync", asha)
    late = await queued(database, "order_sync", bala)
    await queued(database, "order_sync", asha, subject="again")
    waiting = await queued(database, "buy_orders", asha)
    async with database.transaction(None) as session:
        for bell, change in (
            (done, "status = 'success', finished_at = now()"),
            (late, "status = 'skipped', reason = 'late: useful until then'"),
            (
                waiting,
                f"""status = 'waiting', waiting_for = '[{{"task": "order_sync", "subject": null, "account": true,
                "after": "{(MORNING + timedelta(hours=1)).isoformat()}", "repeats": true}}]'""",
            ),
        ):
            await session.execute(
                text(f"UPDATE service_task_execution SET {change} WHERE id = :id"), {"id": bell.execution_id}
            )


async def test_the_days_slots_are_counted_per_task_with_what_they_wait_for(
    database: Database, muhurat: Commands
) -> None:
    await _scene(database)
    found = await muhurat.json("status")
    tasks = {task["task_name"]: task for task in found["tasks"]}
    assert (tasks["order_sync"]["done"], tasks["order_sync"]["late"], tasks["order_sync"]["under_way"]) == (1, 1, 1)
    assert found["waiting"] == [{"task_name": "buy_orders", "waits_for": "order_sync", "executions": 1}]
    assert [(row["queue"], row["executions"]) for row in found["queued"]] == [("default", 1)]
    assert found["totals"] == {"accounts": 2, "users": 2, "running": 2, "blocked": 0}
    assert [row["name"] for row in found["workers"]] == ["w1"]


async def test_one_users_status_shows_nothing_of_another(database: Database, muhurat: Commands) -> None:
    await _scene(database)
    found = await muhurat.json("status", "--user", "BALA@example.org")
    assert [account["email"] for account in found["accounts"]] == ["bala@example.org"]
    assert [(task["task_name"], task["slots"]) for task in found["tasks"]] == [("order_sync", 1)]
    assert found["waiting"] == []


async def test_an_order_of_unknown_fate_stands_on_the_first_screen(database: Database, muhurat: Commands) -> None:
    await _scene(database)
    async with database.transaction(None) as session:
        await session.execute(
            text(
                "INSERT INTO orders (user_id, account_id, execution_id, symbol, side, order_type, variety, quantity, "
                "status, intent_key, tag, strategy, leg, rank, reference_price, as_of, session_day, config_version) "
                "SELECT user_id, id, 1, 'INFY', 'buy', 'market', 'amo', 3, 'unknown', 'k', 't', 'dip', 'entry', 1, 1, "
                "now(), '2024-01-03', 1 FROM broker_accounts LIMIT 1"
            )
        )
    assert "is UNKNOWN: buy 3 INFY" in await muhurat("status")


async def test_without_redis_everything_but_its_messages_is_shown(database: Database, muhurat: Commands) -> None:
    await _scene(database)
    muhurat.patch.setenv("REDIS_URL", "redis://127.0.0.1:1")
    found = await muhurat.json("status")
    assert found["redis"]["ready"] is None
    assert found["totals"]["accounts"] == 2
    assert "Redis: away" in await muhurat("status")


async def test_without_postgres_one_line_says_so(muhurat: Commands) -> None:
    muhurat.patch.setenv("DATABASE_URL", "postgresql://me:secret@127.0.0.1:1/x")
    said = await muhurat("status", code=1)
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert "secret" not in said


async def test_the_number_of_queries_does_not_grow_with_what_there_is(database: Database) -> None:
    from ops.cli.status import _gather

    await _scene(database)
    asked: list[str] = []
    event.listen(database.engine.sync_engine, "before_cursor_execute", lambda *seen: asked.append(str(seen[2])))
    await _gather(database, "redis://127.0.0.1:1", None)
    assert len(asked) <= 16


async def test_an_unknown_user_is_one_line_and_bad_input(muhurat: Commands) -> None:
    assert "no user 'nobody'" in await muhurat("status", "--user", "nobody", code=2)
