"""Whatever waits, somebody can say why: in a sentence, and in a code."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from db.executions import Bell
from db.schedulers import SchedulerRepository
from db.transaction import Database
from tests.people import MORNING, Person, person, replay_from, worker
from tests.worker.inspection.makings import execution, reach_of, retrying, stock_ready
from worker.bells.keys import claims_key, ready_key
from worker.bells.ringing import Bells
from worker.inspection.waits import Explanation, explain, explain_task
from worker.wire import message_id


@pytest.fixture
async def asha(database: Database) -> Person:
    async with database.transaction(None) as session:
        await SchedulerRepository(session).beat("s1", "here", 1)
    return await person(database)


async def _change(database: Database, statement: str) -> None:
    async with database.transaction(None) as session:
        await session.execute(text(statement))


async def _serving(database: Database, name: str = "w1") -> None:
    await worker(database, name)
    await _change(database, "UPDATE worker_processes SET queues = 'orders'")


async def _why(database: Database, bells: Bells, bell: Bell, share: int = 8) -> Explanation:
    found = await explain(reach_of(database, bells, share), bell.execution_id)
    assert found is not None
    return found


def _codes(found: Explanation) -> list[str]:
    return [one.code for one in found.reasons]


async def _rung(database: Database, bells: Bells, who: Person, **columns: Any) -> Bell:
    bell = await execution(database, "queued", who, **columns)
    await _change(database, f"UPDATE service_task_execution SET rung_at = now() WHERE id = {bell.execution_id}")
    await bells.ring([bell])
    return bell


async def test_what_has_ended_says_how(database: Database, bells: Bells, asha: Person) -> None:
    found = await _why(database, bells, await execution(database, "skipped", asha, reason="late: useful until then"))
    assert _codes(found) == ["ended"]
    assert "it ended skipped at" in found.reasons[0].said
    assert "late: useful until then" in found.reasons[0].said


async def test_what_is_not_due_yet_says_when(database: Database, bells: Bells, asha: Person) -> None:
    await replay_from(database)
    found = await _why(database, bells, await execution(database, "queued", asha, at=MORNING + timedelta(minutes=5)))
    assert [(one.code, one.said) for one in found.reasons] == [("not_due", "it is due at 2024-01-02 08:05:00 IST")]


async def test_what_is_ready_says_how_many_are_before_it_and_who_serves_it(
    database: Database, bells: Bells, asha: Person
) -> None:
    await stock_ready(bells, "first")
    bell = await _rung(database, bells, asha)
    found = await _why(database, bells, bell)
    assert _codes(found) == ["no_worker", "behind_others"]
    await _serving(database)
    found = await _why(database, bells, bell)
    assert [(one.code, one.said) for one in found.reasons] == [
        ("behind_others", "1 message before it in orders; live workers that serve it: 1")
    ]


async def test_what_a_worker_has_taken_or_lost_says_so(database: Database, bells: Bells, asha: Person) -> None:
    await _serving(database)
    bell = await _rung(database, bells, asha)
    await bells.redis.lpop(ready_key("orders"))
    await bells.redis.sadd(claims_key("w1", "orders"), message_id(bell))
    assert _codes(await _why(database, bells, bell)) == ["taken"]
    await bells.redis.flushall()
    await _change(database, "UPDATE service_task_execution SET losses = 2")
    assert _codes(await _why(database, bells, bell)) == ["message_missing", "runs_alone"]


async def test_what_is_behind_its_users_share_says_so(database: Database, bells: Bells, asha: Person) -> None:
    await _serving(database)
    await _rung(database, bells, asha, subject="1")
    await execution(database, "queued", asha, subject="2")
    bell = await execution(database, "queued", asha, subject="3")
    [reason] = (await _why(database, bells, bell, share=1)).reasons
    assert (reason.code, reason.facts) == ("own_share", {"rung": 1, "share": 1, "ahead": 1})
    assert reason.said == "its user has 1 of 1 executions of orders on Redis, and 1 more before this one"


async def test_a_retry_says_after_which_error_and_until_when(database: Database, bells: Bells, asha: Person) -> None:
    await _serving(database)
    [bell] = await retrying(database, bells, asha, reason="BrokerAway: HTTP 502")
    [reason] = (await _why(database, bells, bell)).reasons
    assert reason.code == "back_off"
    assert reason.said.startswith("attempt 2 of 3 is due at ")
    assert reason.said.endswith(" s after BrokerAway: HTTP 502")
    await _change(database, "UPDATE service_task_execution SET next_attempt_at = now() - interval '1 s'")
    assert _codes(await _why(database, bells, bell)) == ["overdue", "promoting"]


async def test_what_runs_says_where_and_whether_its_worker_lives(
    database: Database, bells: Bells, asha: Person
) -> None:
    await _serving(database)
    bell = await execution(database, "running", asha, worker="w1")
    assert _codes(await _why(database, bells, bell)) == ["running"]
    for change, said in (
        ("lease_until = now() - interval '9 s'", "its lease is over for 9 s"),
        ("gone_at = now()", "it was seen to end"),
        ("ended_at = now()", "it has ended"),
    ):
        await _change(database, f"UPDATE worker_processes SET {change}")
        [reason] = (await _why(database, bells, bell)).reasons
        assert (reason.code, said in reason.said) == ("worker_lost", True)


async def test_what_needs_something_says_what_does_it_and_how_that_stands(
    database: Database, bells: Bells, asha: Person
) -> None:
    bell = await execution(database, "waiting", asha, task="buy_orders", useful_until=MORNING + timedelta(days=9000))
    needs = (
        '[{"task": "order_sync", "subject": null, "account": true, "after": "2024-01-02T02:00:00+00:00", "repeats": true},'
        ' {"task": "prices", "subject": "", "account": false, "after": "2024-01-02T02:00:00+00:00", "repeats": true}]'
    )
    async with database.transaction(None) as session:
        query = "UPDATE service_task_execution SET waiting_for = CAST(:needs AS jsonb)"
        await session.execute(text(query), {"needs": needs})
    sync = await execution(database, "failed", asha, reason="no")
    found = await _why(database, bells, bell)
    assert _codes(found) == ["needs", "needs", "deadline"]
    first, second, _ = found.reasons
    assert first.said == (
        f"it needs order_sync of its account due at 2024-01-02 07:30:00 IST or later: execution {sync.execution_id} is "
        "failed; it is made again"
    )
    assert second.said.endswith("or later: none yet")
    await _change(database, "UPDATE service_task_execution SET status = 'success' WHERE task_name = 'order_sync'")
    await execution(database, "success", None, task="prices")
    assert _codes(await _why(database, bells, bell)) == ["needs_met", "deadline"]


async def test_what_is_too_late_or_halted_says_so(database: Database, bells: Bells, asha: Person) -> None:
    await _serving(database)
    bell = await _rung(database, bells, asha, task="buy_orders", useful_until=MORNING)
    await _change(database, "UPDATE service_status SET service_running = false")
    await _change(database, "UPDATE broker_accounts SET status = 'blocked'")
    assert _codes(await _why(database, bells, bell)) == ["late", "behind_others", "service_stopped", "account_blocked"]


async def test_without_a_scheduler_or_with_a_clock_that_stands_nothing_goes_on(
    database: Database, bells: Bells, asha: Person
) -> None:
    await replay_from(database)
    bell = await execution(database, "queued", asha, at=MORNING + timedelta(minutes=5))
    await _change(database, "UPDATE market_clock SET paused = true")
    await _change(database, "UPDATE scheduler_processes SET seen_at = now() - interval '1 hour'")
    assert _codes(await _why(database, bells, bell)) == ["not_due", "no_scheduler", "clock_stands"]


async def test_a_task_of_a_user_is_explained_by_what_is_open_or_by_the_next_slot(
    database: Database, bells: Bells, asha: Person
) -> None:
    reach = reach_of(database, bells)
    await _change(database, "UPDATE schedules SET next_due_at = now() + interval '1 hour'")
    [none] = await explain_task(reach, "buy_orders", asha.user_id, None)
    assert (none.execution_id, _codes(none)) == (None, ["not_scheduled"])
    assert "the next slot is" in none.reasons[0].said
    [bell] = await retrying(database, bells, asha, task="buy_orders")
    [found] = await explain_task(reach, "buy_orders", asha.user_id, None)
    assert (found.execution_id, found.reasons[0].code) == (bell.execution_id, "back_off")
    [of_slot] = await explain_task(reach, "buy_orders", asha.user_id, MORNING)
    assert of_slot.execution_id == bell.execution_id
    [nothing] = await explain_task(reach, "buy_orders", asha.user_id, MORNING - timedelta(days=1))
    assert nothing.reasons[0].code == "no_execution"


@pytest.mark.parametrize(
    ("change", "task", "code"),
    [
        ("UPDATE service_status SET service_running = false", "buy_orders", "service_stopped"),
        ("UPDATE broker_accounts SET status = 'blocked'", "buy_orders", "account_blocked"),
        ("UPDATE schedule_subscriptions SET enabled = false", "buy_orders", "not_subscribed"),
        ("UPDATE schedules SET next_due_at = now() - interval '1 s'", "buy_orders", "firing"),
        ("UPDATE schedules SET next_due_at = 'infinity'", "buy_orders", "not_planned"),
        ("SELECT 1", "submit", "follow_up"),
    ],
)
async def test_what_is_not_scheduled_says_why_not(
    database: Database, bells: Bells, asha: Person, change: str, task: str, code: str
) -> None:
    await _change(database, "UPDATE schedules SET next_due_at = now() + interval '1 hour'")
    await _change(database, change)
    [none] = await explain_task(reach_of(database, bells), task, asha.user_id, None)
    assert _codes(none)[0] == code


async def test_the_analysis_of_a_user_is_that_of_his_parameters(database: Database, bells: Bells, asha: Person) -> None:
    async with database.reading(None) as session:
        query = "SELECT strategy || ':' || parameter_hash FROM user_trading_config"
        subject = (await session.execute(text(query))).scalar_one()
    await execution(database, "retrying", None, task="analysis", subject="dip:another", queue="strategy")
    mine = await execution(database, "retrying", None, task="analysis", subject=subject, queue="strategy")
    found = await explain_task(reach_of(database, bells), "analysis", asha.user_id, None)
    assert [one.execution_id for one in found] == [mine.execution_id]


async def test_another_users_execution_is_not_explained(database: Database, bells: Bells, asha: Person) -> None:
    bell = await execution(database, "queued", asha)
    assert await explain(reach_of(database, bells), bell.execution_id, user_id=asha.user_id + 1) is None
    assert await explain(reach_of(database, bells), 999) is None
