"""Two users with two accounts each, through every actor: what they leave behind, row by row.

Twice a worker is killed while the answer to an order is on its way, so that `reconcile` has something to find out.
"""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import date, timedelta

from sqlalchemy import text

from db.base import USER_SCOPED
from ops.replay.plan import Request
from tests.flow.agreement import disagreements
from tests.flow.replays import Scene, played
from worker.messages import TASKS

NINE_SESSIONS = Request(
    first=date(2025, 12, 18), last=date(2025, 12, 31), users=2, accounts_per_user=2, symbols=30, workers=1, threads=4
)

# After the close: no sync is due any more; the orders are sent; whoever sent none by then sends none that day.
SYNCED, SENT = timedelta(minutes=20), timedelta(minutes=60)

BUYS_OR_NONE = """
    SELECT o.id FROM market_clock c LEFT JOIN orders o ON o.account_id = :account AND o.status = 'sending'
    WHERE o.id IS NOT NULL OR c.at > :sent LIMIT 1
"""
ARRIVED = """
    SELECT o.id FROM orders o JOIN paper_orders p ON p.account_id = o.account_id AND p.tag = o.tag
    WHERE o.account_id = :account AND o.status = 'sending' LIMIT 1
"""
EVENTS = "SELECT count(*) FROM order_events e JOIN orders o ON o.id = e.order_id WHERE o.account_id = :account AND "


async def test_two_users_with_two_accounts_each_go_through_every_actor() -> None:
    async with played(NINE_SESSIONS, lose_two_answers) as (scene, report):
        assert (report.summary["unfinished"], report.error_count) == (0, 0)
        assert await disagreements(scene) == {}
        await hold_executions(scene)
        await hold_accounts(scene)
        await hold_answers(scene)
        await hold_model(scene)
        await hold_tenancy(scene)


async def lose_two_answers(scene: Scene) -> None:
    """Kill the worker before the venue took an order of the first account, then after it took one of the last."""
    first, *_, last = await account_ids(scene)
    number = await lose_an_answer(scene, first, 1, arrived=False)
    await lose_an_answer(scene, last, number + 1, arrived=True)


async def lose_an_answer(scene: Scene, account: int, number: int, *, arrived: bool) -> int:
    """Kill the worker while an order of an account is `sending`, on the first evening that has one. Returns its session.

    The venue's book is held so that the order waits there; then, for one that arrived, our own account's row, so that
    the answer waits here.
    """
    for session in scene.plan.sessions[number:]:
        await scene.caught("SELECT 1 FROM market_clock WHERE at > :at", at=session.closes + SYNCED)
        async with AsyncExitStack() as book:
            await book.enter_async_context(held(scene, "paper_books", "account_id", account))
            row = await scene.caught(BUYS_OR_NONE, account=account, sent=session.closes + SENT)
            if row.id is not None and not arrived:
                await kill_the_worker(scene)
                return number
            if row.id is not None:
                async with held(scene, "broker_accounts", "id", account):
                    await book.aclose()
                    await scene.caught(ARRIVED, account=account)
                    await kill_the_worker(scene)
                    return number
        number += 1
    raise AssertionError(f"account {account} bought nothing")


@asynccontextmanager
async def held(scene: Scene, table: str, column: str, account: int) -> AsyncIterator[None]:
    """Hold an account's row of a table: whoever wants it waits."""
    async with scene.database.transaction(None) as session:
        await session.execute(text(f"SELECT 1 FROM {table} WHERE {column} = :account FOR UPDATE"), {"account": account})
        yield


async def kill_the_worker(scene: Scene) -> None:
    worker = await scene.caught("SELECT pid FROM worker_processes WHERE ended_at IS NULL")
    os.kill(worker.pid, signal.SIGKILL)


async def account_ids(scene: Scene) -> list[int]:
    return [row.id for row in await scene.rows("SELECT id FROM broker_accounts ORDER BY id")]


async def hold_executions(scene: Scene) -> None:
    """Every actor ran for everybody it should, and left its record."""
    ended = await scene.rows("SELECT task_name, status, count(*) FROM service_task_execution GROUP BY 1, 2")
    assert {(row.task_name, row.status) for row in ended} >= {(task, "success") for task in TASKS}
    assert {row.status for row in ended} <= {"success", "skipped"}
    for task in ("buy_orders", "submit", "order_sync", "sell_monitor"):
        accounts = await scene.rows(
            "SELECT DISTINCT user_id, account_id FROM service_task_execution WHERE task_name = :task", task=task
        )
        assert len(accounts) == 4, task
    assert await scene.one("SELECT count(*) FROM execution_attempts WHERE outcome = 'lost'") >= 2
    assert await scene.one("SELECT count(*) FROM execution_attempts WHERE outcome <> 'lost'") == 0
    assert await scene.one("SELECT count(*) FROM error_logs") == 0
    services = await scene.rows("SELECT service_running, last_task_execution, error_count FROM service_status")
    assert [(row.service_running, row.error_count) for row in services] == [(True, 0), (True, 0)]
    assert all(row.last_task_execution for row in services)


async def hold_accounts(scene: Scene) -> None:
    """Each account bought and sold; accounts of one user are alike, whatever happened to one of them."""
    traded = await scene.rows(
        "SELECT a.user_id, a.name, (SELECT count(*) FROM fills f WHERE f.account_id = a.id AND side = 'buy') AS bought, "
        "(SELECT count(*) FROM fills f WHERE f.account_id = a.id AND side = 'sell') AS sold, a.cash "
        "FROM broker_accounts a ORDER BY a.user_id, a.name"
    )
    assert [row.name for row in traded] == ["paper", "paper2"] * 2
    assert all(row.bought and row.sold for row in traded), traded
    assert [tuple(row)[2:] for row in traded[::2]] == [tuple(row)[2:] for row in traded[1::2]]


async def hold_answers(scene: Scene) -> None:
    """Both lost answers were looked for: one order was sent once more, the other was found."""
    first, *_, last = await account_ids(scene)
    for account, event in ((first, "repeat"), (last, "found")):
        assert await scene.one(EVENTS + "e.event = 'lose_sight'", account=account) >= 1
        assert await scene.one(EVENTS + "e.event = :event AND from_status = 'unknown'", account=account, event=event)
    assert await scene.one("SELECT count(*) FROM orders WHERE account_id = :id AND attempt > 1", id=first) >= 1
    looks = await scene.rows("SELECT DISTINCT account_id FROM service_task_execution WHERE task_name = 'reconcile'")
    assert {row.account_id for row in looks} >= {first, last}  # others may have been on their way too


async def hold_model(scene: Scene) -> None:
    """The model of the first evening has its say from the next day on, for the user who asked for it alone."""
    model = (
        await scene.rows("SELECT m.*, j.status FROM ml_models m JOIN ml_training_jobs j ON j.id = training_job_id")
    )[0]
    assert (model.version, model.is_active, model.status) == ("v1", True, "completed")
    assert model.model_path == f"db:{model.sha256}"
    assert await scene.one("SELECT encode(sha256(data), 'hex') FROM artifacts") == model.sha256
    first = scene.plan.sessions[0].day
    said = await scene.rows(
        "SELECT DISTINCT c.ml_enabled, d.day > :first AS later, d.model_version, d.confidence IS NOT NULL AS sure "
        "FROM decisions d JOIN user_trading_config c USING (user_id) WHERE d.leg = 'entry'",
        first=first,
    )
    assert {tuple(row) for row in said} == {
        (False, False, None, False),
        (False, True, None, False),
        (True, False, None, False),
        (True, True, "v1", True),
    }
    named = await scene.one("SELECT count(*) FROM orders WHERE model_version = 'v1' AND side = 'buy'")
    assert named > 0


# What a week of trading without an error need not write.
UNTOUCHED = {
    "audit_logs", "error_logs", "execution_counts", "halts", "import_batches", "import_records", "tracked_symbols", "reentries", "service_logs", "user_signal_status", "user_trading_config_versions",
}  # fmt: skip


async def hold_tenancy(scene: Scene) -> None:
    """Each user sees all of his rows and nobody else's, in every table."""
    users = [row.id for row in await scene.rows("SELECT id FROM users ORDER BY id")]
    assert len(users) == 2
    for table, owner in sorted(USER_SCOPED.items()):
        count = f"SELECT {owner} AS owner, count(*) AS rows FROM {table} GROUP BY 1"
        rows = {row.owner: row.rows for row in await scene.rows(count)}
        assert set(rows) >= set(users) or table in UNTOUCHED, table
        for user in users:
            async with scene.database.reading(user) as session:
                seen = {row.owner: row.rows for row in await session.execute(text(count))}
            assert seen == {owner: number for owner, number in rows.items() if owner == user}, table
