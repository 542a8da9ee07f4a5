"""Pauses on a real Postgres: what a halt of tasks keeps from being rung and begun, and what passes it."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from config.servers import ServerUrls
from db import claims
from db.channels import SETTLED_CHANNEL
from db.claims import LedgerRepository, Settlement
from db.executions import Bell, Execution, FollowUp, ServiceTaskRepository
from db.halts import may_begin_sql, paused_sql
from db.rings import RingRepository, Walk
from db.shares import Place, ShareRepository
from db.sweeps import SweepRepository
from db.transaction import Database
from migrations.halt_function import HALT_OF
from tests.halted import ORDERS, TASK, halt, resume, scope_of
from tests.people import MORNING, Person, person, queued, replay_from, scalar, worker
from trading.halts import Stops
from trading.orders import LIVE, OrderState
from worker.messages import QUEUES

STATE = "SELECT status || ' ' || generation || ' ' || attempt || ' ' || (rung_at IS NULL) FROM service_task_execution"
WAITS, RUNS = "queued 2 0 true", "running 1 1 false"


async def claim(database: Database, *bells: Bell) -> tuple[list[Execution], Mapping[str, str]]:
    async with database.transaction(None) as session:
        return await LedgerRepository(session).claim(bells, "w1")


async def rung(database: Database) -> list[Bell]:
    """Ring what has room, as a scheduler does."""
    async with database.transaction(None) as session:
        shares = ShareRepository(session, 8)
        bells, _ = await shares.ring_due(Place(), 100)
        return [*await shares.ring_shared(100), *bells]


async def ordered(database: Database, who: Person, status: str, change: str = "NULL") -> int:
    """Insert an order, and return its id."""
    query = f"""
        INSERT INTO orders (user_id, account_id, symbol, side, order_type, variety, quantity, status, intent_key, tag,
                            strategy, leg, rank, reference_price, as_of, session_day, config_version, change)
        VALUES (:user_id, :account_id, 'AAA', 'buy', 'market', 'amo', 1, :status, 'k', 't', 'dip', 'entry', 1, 1, CAST(:at AS timestamptz),
                CAST('2024-01-02' AS date), 1, {change}) RETURNING id
    """
    values = {"user_id": who.user_id, "account_id": who.account_id, "status": status, "at": MORNING}
    async with database.transaction(None) as session:
        return int((await session.execute(text(query), values)).scalar_one())


SCOPES = ["everywhere", "user", "account", "task", "strategy", "all of them"]


@pytest.mark.parametrize("kind", SCOPES)
async def test_a_claim_under_a_pause_leaves_the_row_to_be_rung_after_it(database: Database, kind: str) -> None:
    asha = await person(database)
    bell = await queued(database, TASK, asha)
    await worker(database)
    await halt(database, Stops.TASKS, **scope_of(kind, asha))
    assert await claim(database, bell) == ([], {f"{bell.execution_id}.1": "paused"})
    assert await scalar(database, STATE) == WAITS
    assert await rung(database) == []
    assert await claim(database, bell) == ([], {}), "the message that came is a copy"
    await resume(database)
    [again] = await rung(database)
    assert again.generation == 2
    assert [one.id for one in (await claim(database, again))[0]] == [bell.execution_id]


@pytest.mark.parametrize("kind", [*SCOPES, "nothing"])
async def test_what_is_not_rung_is_not_rung_under_a_pause(database: Database, kind: str) -> None:
    asha = await person(database)
    await queued(database, TASK, asha, rung=False)
    if kind != "nothing":
        await halt(database, Stops.TASKS, **scope_of(kind, asha))
    assert len(await rung(database)) == (kind == "nothing")


@pytest.mark.parametrize("kind", ["user", "account"])
async def test_a_users_pause_touches_nobody_else_and_no_shared_task(database: Database, kind: str) -> None:
    asha, bala = await person(database), await person(database, "bala")
    await worker(database)
    await halt(database, Stops.TASKS, **scope_of(kind, asha))
    theirs = [await queued(database, TASK, bala), await queued(database, "prices")]
    won, dropped = await claim(database, await queued(database, TASK, asha), *theirs)
    assert sorted(one.id for one in won) == [bell.execution_id for bell in theirs]
    assert list(dropped.values()) == ["paused"]


async def test_another_task_and_another_strategy_go_on(database: Database) -> None:
    asha = await person(database)
    await worker(database)
    await halt(database, Stops.TASKS, task_name="sell_monitor")
    await halt(database, Stops.TASKS, strategy="other")
    assert len((await claim(database, await queued(database, TASK, asha)))[0]) == 1


@pytest.mark.parametrize(("strategy", "runs"), [("dip", False), ("other", True)])
async def test_an_analysis_is_of_the_strategy_it_is_for(database: Database, strategy: str, runs: bool) -> None:
    await worker(database)
    await halt(database, Stops.TASKS, strategy=strategy)
    won, _ = await claim(database, await queued(database, "analysis", subject="dip:h1"))
    assert bool(won) == runs


async def test_halts_of_orders_stop_no_task(database: Database) -> None:
    asha = await person(database)
    await worker(database)
    await halt(database, *ORDERS)
    assert len((await claim(database, await queued(database, TASK, asha)))[0]) == 1


async def test_what_is_late_under_a_pause_ends_late(database: Database) -> None:
    bell = await queued(database, "prices")
    await worker(database)
    await halt(database, Stops.TASKS)
    async with database.transaction(None) as session:
        await session.execute(text("UPDATE service_task_execution SET useful_until = :at"), {"at": MORNING})
    assert await claim(database, bell) == ([], {f"{bell.execution_id}.1": "late"})
    assert await scalar(database, "SELECT status FROM service_task_execution") == "skipped"


async def test_a_retry_under_a_pause_keeps_its_attempts_and_waits_for_its_turn(database: Database) -> None:
    asha = await person(database)
    bell = await queued(database, TASK, asha)
    await worker(database)
    [held], _ = await claim(database, bell)
    async with database.transaction(None) as session:
        failed = Settlement(held, "retrying", 0.1, error_type="Retry", error="away", backoff_seconds=1)
        await LedgerRepository(session).settle([failed], "w1")
    await halt(database, Stops.TASKS)
    await claim(database, Bell(TASK, "default", bell.scheduled_for, bell.execution_id, 2))
    assert await scalar(database, STATE) == "queued 3 1 true"


@pytest.mark.parametrize("task", ["order_sync", "reconcile"])
@pytest.mark.parametrize(
    ("status", "runs"), [(status.value, status in LIVE) for status in sorted(OrderState)], ids=sorted(OrderState)
)
async def test_the_book_is_read_while_an_order_is_not_final(
    database: Database, task: str, status: str, runs: bool
) -> None:
    asha = await person(database)
    await worker(database)
    await ordered(database, asha, status)
    await halt(database, Stops.TASKS, *ORDERS)
    await queued(database, task, asha, rung=False)
    bells = await rung(database)
    assert len(bells) == runs
    assert len((await claim(database, *bells))[0] if bells else []) == runs


@pytest.mark.parametrize(
    ("status", "change", "runs"),
    [
        ("parked", """'{"cancel": true}'""", True),
        ("sending", "NULL", True),
        ("cancelling", "NULL", True),
        ("planned", "NULL", False),
        ("open", """'{"limit_price": "9"}'""", False),
    ],
)
async def test_a_submit_that_cancels_or_is_under_way_passes_a_pause(
    database: Database, status: str, change: str, runs: bool
) -> None:
    asha = await person(database)
    await worker(database)
    order = await ordered(database, asha, status, change)
    await halt(database, Stops.TASKS)
    won, _ = await claim(database, await queued(database, "submit", asha, f"{order}:2"))
    assert bool(won) == runs


async def test_a_subject_that_names_no_order_is_paused_like_any_other(database: Database) -> None:
    asha = await person(database)
    await worker(database)
    await halt(database, Stops.TASKS)
    won, dropped = await claim(database, await queued(database, "submit", asha, "again:1"))
    assert (won, list(dropped.values())) == ([], ["paused"])


async def test_whoever_ends_lets_nothing_on_that_is_paused(database: Database) -> None:
    asha = await person(database)
    await worker(database)
    [held], _ = await claim(database, await queued(database, "order_sync", asha))
    await queued(database, TASK, asha, rung=False)
    other = await queued(database, "eod_cleanup", asha, rung=False)
    await halt(database, Stops.TASKS, task_name=TASK)
    async with database.transaction(None) as session:
        shares = ShareRepository(session, 8)
        behind = await shares.hold([asha.user_id])
        await LedgerRepository(session).settle([Settlement(held, "success", 0.1)], "w1")
        assert await shares.ring_held(behind, QUEUES) == [other]
    async with database.transaction(None) as session:
        assert await ShareRepository(session, 8).hold([asha.user_id]) == []


async def test_what_was_rung_before_a_pause_is_not_rung_again_under_it(database: Database) -> None:
    bell = await queued(database, "prices")
    async with database.transaction(None) as session:
        await session.execute(text("UPDATE service_task_execution SET rung_at = now() - interval '1 minute'"))
    id_ = await halt(database, Stops.TASKS)
    async with database.reading(None) as session:
        assert (await RingRepository(session).rung(Walk(), 10.0, 100)).unanswered == []
    await resume(database, [id_])
    async with database.reading(None) as session:
        assert (await RingRepository(session).rung(Walk(), 10.0, 100)).unanswered == [bell]


@pytest.mark.parametrize("paused", [False, True])
async def test_what_waited_for_others_is_queued_and_not_rung_under_a_pause(database: Database, paused: bool) -> None:
    await queued(database, "analysis", subject="dip:h1", rung=False)
    async with database.transaction(None) as session:
        await session.execute(text("UPDATE service_task_execution SET status = 'waiting', waiting_for = '[]'"))
    if paused:
        await halt(database, Stops.TASKS)
    async with database.transaction(None) as session:
        ready = await SweepRepository(session).make_ready(10)
    assert (len(ready), len(ready.bells)) == (1, not paused)
    assert await scalar(database, "SELECT is_ringable FROM service_task_execution") is paused
    await resume(database)
    assert len(await rung(database)) == paused


def _nodes(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)


async def _claim_plan(database: Database, bells: list[Bell]) -> list[Mapping[str, Any]]:
    """Return the nodes of a claim's plan that read halts, as it was run."""
    values = {**claims.bell_keys(bells), "worker": "w1", "alone": False, "exchange": "NSE"}
    statement = text(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {claims._CLAIM.text}")
    async with database.transaction(None) as session:
        plan = (await session.execute(statement, values)).scalar_one()
    parsed = json.loads(plan) if isinstance(plan, str) else plan
    return [one for one in _nodes(parsed[0]["Plan"]) if one.get("Relation Name") == "halts"]


async def test_without_a_halt_a_claim_looks_once_at_an_empty_table_however_many_rows_it_takes(
    database: Database,
) -> None:
    asha = await person(database)
    await worker(database)
    bells = [await queued(database, TASK, asha, str(number)) for number in range(50)]
    read = [one for one in await _claim_plan(database, bells) if one["Actual Loops"]]
    assert [one["Actual Loops"] for one in read] == [1]
    assert await scalar(database, "SELECT count(*) FROM service_task_execution WHERE status = 'running'") == 50


async def test_a_claim_writes_no_index(database: Database) -> None:
    await worker(database)
    bells = [await queued(database, "prices", subject=str(number)) for number in range(20)]
    updated = text(
        "SELECT sum(pg_stat_get_xact_tuples_updated(relid)), sum(pg_stat_get_xact_tuples_hot_updated(relid)) "
        "FROM pg_partition_tree('service_task_execution')"
    )
    async with database.transaction(None) as session:
        await LedgerRepository(session).claim(bells, "w1")
        assert tuple((await session.execute(updated)).one()) == (20, 20)


async def test_a_follow_up_made_under_a_pause_waits_for_its_turn(database: Database) -> None:
    asha = await person(database)
    await worker(database)
    [held], _ = await claim(database, await queued(database, TASK, asha))
    await halt(database, Stops.TASKS)
    async with database.transaction(asha.user_id) as session:
        tasks = ServiceTaskRepository(session)
        await tasks.fence(held)
        await tasks.follow_up(held, [FollowUp("notify", "default", "1", MORNING, None)])
    async with database.transaction(None) as session:
        await LedgerRepository(session).settle([Settlement(held, "success", 0.1)], "w1")
    assert await rung(database) == []
    await resume(database)
    assert [bell.task_name for bell in await rung(database)] == ["notify"]


HALTS: list[dict[str, Any]] = [
    {},
    {"task_name": TASK},
    {"task_name": "order_sync"},
    {"strategy": "dip"},
    {"strategy": "other"},
    {"until": MORNING - timedelta(minutes=1)},
    {"until": MORNING + timedelta(minutes=1), "task_name": TASK},
]


@pytest.mark.parametrize("scope", HALTS)
async def test_a_walk_over_many_lets_begin_what_a_claim_lets_begin(database: Database, scope: dict[str, Any]) -> None:
    await replay_from(database)
    asha, bala = await person(database), await person(database, "bala")
    order = await ordered(database, asha, "sending")
    for who in (asha, bala, None):
        for task in (TASK, "order_sync", "reconcile", "submit", "analysis"):
            await queued(database, task, who, f"{order}:1" if who is asha else "dip:7", rung=False)
    await halt(database, Stops.TASKS, **scope)
    if not scope:
        await halt(database, Stops.TASKS, user_id=bala.user_id)
    query = (
        f"SELECT count(*) FILTER (WHERE {may_begin_sql('e')} IS DISTINCT FROM NOT {paused_sql('e')}) || ' of ' || "
        "count(*) FROM service_task_execution e"
    )
    assert await scalar(database, query) == "0 of 15"


async def test_a_walk_under_a_pause_of_everybody_asks_about_no_execution_by_itself(database: Database) -> None:
    asha = await person(database)
    for number in range(3):
        await queued(database, TASK, asha, str(number), rung=False)
    await halt(database, Stops.TASKS)
    broken = HALT_OF.replace("CREATE", "CREATE OR REPLACE").replace("BEGIN\n", "BEGIN RAISE 'it was asked';\n", 1)
    async with database.engine.begin() as connection:
        session = AsyncSession(bind=connection)
        await session.execute(text("SELECT set_config('muhurat.scope', 'system', true)"))
        await session.execute(text(broken))
        assert await ShareRepository(session, 8).ring_due(Place(), 100) == ([], None)
        await connection.rollback()


@pytest.mark.parametrize("paused", [False, True])
async def test_what_a_pause_holds_back_wakes_no_scheduler_at_each_settle(
    database: Database, urls: ServerUrls, paused: bool
) -> None:
    asha = await person(database)
    await queued(database, TASK, asha, rung=False)
    if paused:
        await halt(database, Stops.TASKS, task_name=TASK)
    woken = asyncio.Event()
    listening = await asyncpg.connect(urls.database)
    await listening.add_listener(SETTLED_CHANNEL, lambda *_: woken.set())
    try:
        async with database.transaction(None) as session:
            await LedgerRepository(session).notify()
        # What was notified before comes with the answer to this at the latest.
        await listening.execute("SELECT 1")
        assert woken.is_set() is not paused
    finally:
        await listening.close()
