"""An operator sees at one look how today goes, also while Redis is away, and without waiting for it."""

import asyncio
import os
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import event, text

from config.servers import ServerUrls
from db.transaction import Database
from tests.ops.cli_runs import Commands
from tests.people import MORNING, person, queued, replay_from, scalar, worker

ROOT = Path(__file__).parents[2]

# Who imports one of these for a look at the day takes most of a second for it.
HEAVY = (
    "numpy",
    "sklearn",
    "polars",
    "dramatiq",
    "alembic",
    "pydantic_settings",
    "db.tables",
    "db.schedules",
    "ops.local",
)
_LOOK = """
import sys
from ops.cli import run
code = run(["status", "--json"])
print(",".join(sys.modules))
raise SystemExit(code)
"""

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
    [due] = found["queued"]
    oldest = await scalar(database, "SELECT id FROM service_task_execution WHERE subject = 'again'")
    assert (due["queue"], due["executions"], due["oldest_id"]) == ("default", 1, oldest)
    assert 0 <= due["oldest_seconds"] < 60
    assert found["totals"] == {"accounts": 2, "users": 2, "running": 2, "stale": 0, "blocked": 0}
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
    from ops.cli.status import gather

    await _scene(database)
    asked: list[str] = []
    event.listen(database.engine.sync_engine, "before_cursor_execute", lambda *seen: asked.append(str(seen[2])))
    await gather(database, "redis://127.0.0.1:1", None, 6.0)
    assert len(asked) <= 16


async def test_an_unknown_user_is_one_line_and_bad_input(muhurat: Commands) -> None:
    assert "no user 'nobody'" in await muhurat("status", "--user", "nobody", code=2)


async def test_an_empty_name_does_not_mean_everybody(muhurat: Commands) -> None:
    for words in (("status",), ("executions", "list"), ("orders", "list"), ("positions", "list"), ("accounts",)):
        said = await muhurat(*words, "--user", "", code=2)
        assert "'--user'" in said
        assert "leave it out" in said


async def test_a_look_at_the_day_loads_nothing_that_it_does_not_use(database: Database, urls: ServerUrls) -> None:
    await _scene(database)
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", _LOOK],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": urls.database, "REDIS_URL": urls.redis},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.splitlines()[-1].split(","))
    assert "ops.cli.status" in loaded
    assert sorted(loaded & set(HEAVY)) == []


async def test_the_phase_and_the_session_that_comes_are_those_of_the_market_clock(
    database: Database, muhurat: Commands
) -> None:
    await _scene(database)
    found = await muhurat.json("status")
    assert (found["phase"], found["session_today"], found["replay"]) == ("amo", True, True)
    assert found["next_session"] == {
        "day": "2024-01-02",
        "opens": "2024-01-02T03:45:00+00:00",
        "closes": "2024-01-02T10:00:00+00:00",
    }
    assert (found["calendar_until"], found["calendar_error"]) == ("2026-12-31", None)


async def test_outside_the_calendar_its_end_and_the_reason_are_told(database: Database, muhurat: Commands) -> None:
    await replay_from(database, datetime.fromisoformat("2031-06-02T04:00:00+00:00"))
    found = await muhurat.json("status")
    assert (found["phase"], found["session_today"], found["next_session"]) == ("unknown", None, None)
    assert found["calendar_until"] == "2026-12-31"
    assert "no calendar for 2031-06-02" in found["calendar_error"]
    assert "phase unknown; no calendar for 2031-06-02" in await muhurat("status")


async def test_schedulers_tell_how_long_ago_they_were_seen(database: Database, muhurat: Commands) -> None:
    await _change(
        database,
        "INSERT INTO scheduler_processes (name, host, pid, seen_at) VALUES "
        "('s1', 'here', 1, now() - interval '45 s'), ('s2', 'here', 2, now() + interval '9 s')",
    )
    late, ahead = (await muhurat.json("status"))["schedulers"]
    assert (late["name"], ahead["name"], ahead["seconds"]) == ("s1", "s2", 0.0)
    assert 45 <= late["seconds"] < 60
    assert "scheduler s2: seen 0 s ago" in await muhurat("status")


async def test_workers_tell_how_long_ago_they_were_seen_and_what_is_left_of_their_lease(
    database: Database, muhurat: Commands
) -> None:
    muhurat.patch.setenv("MUHURAT_WORKER_LEASE_SECONDS", "100")
    await worker(database, "alive", seconds=90)
    await worker(database, "silent", seconds=-200)
    await worker(database, "dead")
    await _change(
        database,
        "UPDATE worker_processes SET gone_at = now() - interval '20 s', lease_until = now() WHERE name = 'dead'",
    )
    alive, dead, silent = (await muhurat.json("status"))["workers"]
    assert [row["name"] for row in (alive, dead, silent)] == ["alive", "dead", "silent"]
    assert 10 <= alive["seen_seconds"] < 40
    assert 50 < alive["lease_seconds"] <= 90
    assert 20 <= dead["seen_seconds"] < 50
    assert 300 <= silent["seen_seconds"] < 330
    said = await muhurat("status")
    assert "worker silent (default): 0 running, seen 5 min ago, its lease ran out 3 min ago" in said
    assert "worker dead (default): 0 running, ended 2" in said


async def test_a_lease_that_is_no_number_is_bad_input(muhurat: Commands) -> None:
    muhurat.patch.setenv("MUHURAT_WORKER_LEASE_SECONDS", "soon")
    assert "MUHURAT_WORKER_LEASE_SECONDS = 'soon'" in await muhurat("status", code=2)


async def test_what_failed_is_counted_per_task(database: Database, muhurat: Commands) -> None:
    asha = await person(database)
    await replay_from(database)
    for subject in ("first", "second"):
        await queued(database, "sell_monitor", asha, subject=subject)
    await _change(database, "UPDATE service_task_execution SET status = 'failed' WHERE subject = 'first'")
    [task] = (await muhurat.json("status"))["tasks"]
    assert (task["task_name"], task["slots"], task["failed"], task["under_way"]) == ("sell_monitor", 2, 1, 1)


async def test_one_users_status_counts_that_users_errors_alone(database: Database, muhurat: Commands) -> None:
    asha, bala = await person(database, "asha"), await person(database, "bala")
    for user_id in (asha.user_id, asha.user_id, bala.user_id, None):
        await _change(
            database,
            "INSERT INTO error_logs (user_id, error_type, error_message) VALUES (:user_id, 'Oversold', 'too much')",
            user_id=user_id,
        )
    assert (await muhurat.json("status"))["unresolved_errors_of_a_day"] == 4
    assert (await muhurat.json("status", "--user", "asha@example.org"))["unresolved_errors_of_a_day"] == 2


async def test_what_was_rung_a_moment_after_the_look_began_has_no_negative_age(
    database: Database, muhurat: Commands
) -> None:
    await _scene(database)
    await _change(database, "UPDATE service_task_execution SET rung_at = now() + interval '90 s'")
    assert [row["oldest_seconds"] for row in (await muhurat.json("status"))["queued"]] == [0.0]
    assert ") for 0 s\n" in await muhurat("status")


async def _change(database: Database, statement: str, **values: object) -> None:
    async with database.transaction(None) as session:
        await session.execute(text(statement), values)


async def test_a_schedule_that_could_not_be_fired_stands_in_the_status(database: Database, muhurat: Commands) -> None:
    await replay_from(database)
    assert (await muhurat.json("status"))["schedules_at_fault"] == []
    async with database.transaction(None) as session:
        await session.execute(text("UPDATE schedules SET fault = 'its trigger [x' WHERE name = 'buy_orders'"))
    assert "schedule buy_orders cannot fire: its trigger [x" in await muhurat("status")
