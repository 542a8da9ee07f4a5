"""Queues and workers are told of as they stand, on Redis and in Postgres at once."""

import pytest
from sqlalchemy import text

from db.transaction import Database
from tests.people import Person, person, worker
from tests.worker.inspection.makings import dead, execution, reach_of, retrying, stock_dead, stock_ready
from worker.bells.keys import HEARTBEATS, claims_key, messages_key, ready_key
from worker.bells.ringing import Bells
from worker.inspection import queues as looks
from worker.inspection.acting import resolve
from worker.inspection.queues import QueueState
from worker.inspection.reach import Wish
from worker.inspection.showing import show
from worker.inspection.workers import WorkerState, held_messages, running, workers
from worker.wire import message_id


@pytest.fixture
async def asha(database: Database) -> Person:
    return await person(database)


async def _queue(database: Database, bells: Bells, name: str = "orders", user_id: int | None = None) -> QueueState:
    return next(one for one in await looks.queues(reach_of(database, bells), user_id=user_id) if one.queue == name)


async def _change(database: Database, statement: str) -> None:
    async with database.transaction(None) as session:
        await session.execute(text(statement))


async def test_an_empty_house_has_its_four_queues(database: Database, bells: Bells) -> None:
    found = await looks.queues(reach_of(database, bells))
    assert [one.queue for one in found] == ["orders", "strategy", "ml", "default"]
    assert {(one.ready, one.claimed, one.waiting, one.dead, one.backlog, one.workers) for one in found} == {(0,) * 6}


async def test_a_queue_is_counted_in_every_place(database: Database, bells: Bells, asha: Person) -> None:
    await _change(database, "UPDATE service_status SET service_running = true")
    await worker(database, "live")
    await _change(database, "UPDATE worker_processes SET queues = 'orders,default'")
    await execution(database, "running", asha, subject="1", worker="live")
    await execution(database, "queued", asha, subject="2")
    rung = await execution(database, "queued", asha, subject="3")
    await _change(database, f"UPDATE service_task_execution SET rung_at = now() WHERE id = {rung.execution_id}")
    await execution(database, "waiting", asha, subject="4")
    await retrying(database, bells, asha, count=2, subject="5")
    await dead(database, bells, asha, subject="6")
    for name in ("ready", "taken", "orphan", "adrift"):
        await stock_ready(bells, name)
    assert await bells.redis.lpop(ready_key("orders"), 4) == [b"ready", b"taken", b"orphan", b"adrift"]
    await bells.redis.rpush(ready_key("orders"), "ready")
    await bells.redis.sadd(claims_key("live", "orders"), "taken")
    await bells.redis.sadd(claims_key("killed", "orders"), "orphan")
    found = await _queue(database, bells)
    assert (found.ready, found.claimed, found.adrift, found.waiting, found.overdue, found.dead) == (1, 1, 2, 2, 0, 1)
    assert (found.running, found.rung, found.backlog, found.retrying, found.needing, found.workers) == (
        1,
        1,
        1,
        2,
        1,
        1,
    )
    assert (found.oldest_ready_seconds or 0) > 0
    assert found.oldest_overdue_seconds is None


async def test_the_oldest_that_is_overdue_is_told_of(database: Database, bells: Bells, asha: Person) -> None:
    await retrying(database, bells, asha, seconds=-30)
    found = await _queue(database, bells)
    assert found.overdue == 1
    assert 30 <= (found.oldest_overdue_seconds or 0) < 60


async def test_one_user_is_told_of_his_executions_alone(database: Database, bells: Bells, asha: Person) -> None:
    bala = await person(database, "bala")
    await execution(database, "queued", asha)
    await execution(database, "queued", bala)
    await execution(database, "queued", None, task="prices")
    found = await _queue(database, bells, user_id=asha.user_id)
    assert (found.backlog, found.ready, found.dead) == (1, None, None)
    rows, _ = await looks.backlog(reach_of(database, bells), Wish(user_id=bala.user_id, queue="orders"), 9)
    assert [row["email"] for row in rows] == ["bala@example.org"]


async def test_a_foreign_queue_is_told_of_too(database: Database, bells: Bells) -> None:
    await stock_ready(bells, "s", queue="mails")
    found = await _queue(database, bells, "mails")
    assert (found.is_ours, found.ready, found.workers) == (False, 1, 0)


async def test_ready_messages_and_the_backlog_are_listed_in_their_order(
    database: Database, bells: Bells, asha: Person
) -> None:
    for name in ("a", "b", "c"):
        await stock_ready(bells, name)
    reach = reach_of(database, bells)
    first, behind = await looks.ready(reach, "orders", 2)
    rest, end = await looks.ready(reach, "orders", 2, behind)
    assert ([letter.message_id for letter in (*first, *rest)], behind, end) == (["a", "b", "c"], "b", None)
    made = [(await execution(database, "queued", asha, subject=str(number))).execution_id for number in range(3)]
    rows, after = await looks.backlog(reach, Wish(queue="orders"), 2)
    more, none = await looks.backlog(reach, Wish(queue="orders"), 2, after)
    assert ([row["id"] for row in (*rows, *more)], none) == (made, None)


async def test_workers_are_told_apart_by_their_leases_and_clients_by_their_heartbeats(
    database: Database, bells: Bells, asha: Person
) -> None:
    for name, change in (
        ("live", "lease_until = now() + interval '5 s'"),
        ("stopped", "lease_until = now() - interval '5 s'"),
        ("gone", "gone_at = now()"),
        ("ended", "gone_at = now(), ended_at = now()"),
        ("long ago", "ended_at = now() - interval '2 hours'"),
    ):
        await worker(database, name)
        await _change(database, f"UPDATE worker_processes SET {change} WHERE name = '{name}'")
    bell = await execution(database, "running", asha, worker="live")
    await bells.beat(["live", "a stock client"])
    await bells.redis.sadd(claims_key("live", "orders"), message_id(bell))
    await bells.redis.zadd(HEARTBEATS, {"long ago": 1})
    reach = reach_of(database, bells)
    found = await workers(reach)
    states = {one.name: one.state for one in found.workers}
    assert states == {
        "live": WorkerState.LIVE, "stopped": WorkerState.STOPPED, "gone": WorkerState.GONE, "ended": WorkerState.ENDED,
    }  # fmt: skip
    live = next(one for one in found.workers if one.name == "live")
    assert (live.running, live.held, live.host, live.queues) == (1, 1, "here", "default")
    assert (live.seen_seconds or 0) < 60
    assert 0 < live.lease_seconds <= 5
    assert [client.name for client in found.clients] == ["a stock client"]
    assert [row["id"] for row in await running(reach, "live", 9)] == [bell.execution_id]
    assert await held_messages(reach, "live", 9) == {"orders": [message_id(bell)]}


async def test_one_is_shown_with_its_message_its_acts_and_its_way_through_time(
    database: Database, bells: Bells, asha: Person
) -> None:
    [bell] = await retrying(database, bells, asha, reason="BrokerAway: no")
    await _change(
        database,
        "INSERT INTO execution_attempts (execution_id, scheduled_for, user_id, attempt, generation, outcome, error) "
        f"VALUES ({bell.execution_id}, now(), {asha.user_id}, 1, 1, 'failed', 'no')",
    )
    await _change(
        database,
        "INSERT INTO audit_logs (user_id, actor, action, resource_type, resource_id) "
        f"VALUES ({asha.user_id}, 'bala', 'edit', 'execution', {bell.execution_id})",
    )
    reach = reach_of(database, bells)
    [ref] = await resolve(reach, [str(bell.execution_id)])
    view = await show(reach, ref)
    assert view is not None
    assert view.message is not None
    assert view.execution is not None
    assert (view.message.place, view.message.queue, view.message.message_id) == ("waiting", "orders", message_id(bell))
    assert view.message.message["actor_name"] == "order_sync"  # type: ignore[index]  # it can be read
    assert [one["outcome"] for one in view.execution["attempts"]] == ["failed"]
    assert [event.what for event in view.timeline if event.what != "made"] == ["attempt", "act", "due"]
    assert "edit by bala" in [event.text for event in view.timeline]
    assert await show(reach, ref, user_id=asha.user_id + 1) is None


async def test_a_message_without_an_execution_is_shown_as_it_is_stored(database: Database, bells: Bells) -> None:
    await stock_dead(bells, "bad", message=b"\xffnot json", error='{"error":"not JSON","at":1}')
    reach = reach_of(database, bells)
    [ref] = await resolve(reach, ["bad"])
    view = await show(reach, ref)
    assert view is not None
    assert view.message is not None
    assert (view.message.place, view.message.message, view.execution) == (
        "dead",
        "\N{REPLACEMENT CHARACTER}not json",
        None,
    )
    assert await show(reach, ref, user_id=1) is None
    [nobody] = await resolve(reach, ["nobody"])
    assert await show(reach, nobody) is None


async def test_looking_changes_nothing(database: Database, bells: Bells, asha: Person) -> None:
    await stock_ready(bells, "s")
    await retrying(database, bells, asha)
    reach = reach_of(database, bells)
    before = sorted(await bells.redis.keys("*"))
    await looks.queues(reach)
    await looks.ready(reach, "orders", 9)
    await workers(reach)
    assert sorted(await bells.redis.keys("*")) == before
    assert await bells.redis.hlen(messages_key("orders")) == 1
