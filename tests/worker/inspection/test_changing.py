"""What waits or is queued can be run, deleted, killed, requeued and edited: the row first, then Redis, by one winner."""

from datetime import datetime, timedelta

import pytest

from db.transaction import Database
from tests.people import Person, person, scalar, worker
from tests.worker.inspection.makings import audited, command, execution, reach_of, retrying, row
from worker.bells.keys import claims_key, dead_key, messages_key, ready_key, waiting_key
from worker.bells.ringing import Bells
from worker.inspection.acting import act, resolve
from worker.inspection.results import Action, Edit, Group, Result, Verdict
from worker.wire import message_id


@pytest.fixture
async def asha(database: Database) -> Person:
    return await person(database)


async def _act(
    database: Database,
    bells: Bells,
    group: Group,
    action: Action,
    *words: object,
    edit: Edit | None = None,
    share: int = 8,
) -> list[Result]:
    reach = reach_of(database, bells, share)
    return await act(reach, command(group, action, edit), await resolve(reach, [str(word) for word in words]))


async def test_a_retry_that_is_run_is_ready_under_a_new_generation(
    database: Database, bells: Bells, asha: Person
) -> None:
    [bell] = await retrying(database, bells, asha)
    [result] = await _act(database, bells, Group.RETRIES, Action.RUN, bell.execution_id)
    assert (result.verdict, result.facts["message_was"]) == (Verdict.DONE, "waiting")
    assert await row(database, bell, "status, generation, next_attempt_at, rung_at IS NULL") == (
        "queued",
        2,
        None,
        False,
    )
    assert await bells.redis.lrange(ready_key("orders"), 0, -1) == [f"{bell.execution_id}.2".encode()]
    assert await bells.redis.zcard(waiting_key("orders")) == 0


async def test_many_retries_that_are_run_stay_within_their_users_share(
    database: Database, bells: Bells, asha: Person
) -> None:
    made = await retrying(database, bells, asha, count=5)
    ids = [bell.execution_id for bell in made]
    results = await _act(database, bells, Group.RETRIES, Action.RUN, *ids, share=2)
    assert [one.facts["message"] for one in results] == ["ready", "ready", "nowhere", "nowhere", "nowhere"]
    assert await bells.redis.llen(ready_key("orders")) == 2
    assert await scalar(database, "SELECT count(*) FROM service_task_execution WHERE is_ringable") == 3


async def test_what_is_deleted_ends_cancelled_and_what_is_killed_lies_among_the_dead(
    database: Database, bells: Bells, asha: Person
) -> None:
    first, second = await retrying(database, bells, asha, count=2)
    await _act(database, bells, Group.RETRIES, Action.DELETE, first.execution_id)
    await _act(database, bells, Group.RETRIES, Action.KILL, second.execution_id)
    assert await row(database, first, "status, reason") == ("cancelled", "deleted by asha")
    assert await row(database, second, "status, reason") == ("failed", "killed by asha")
    assert await bells.redis.zrange(dead_key("orders"), 0, -1) == [f"{second.execution_id}.2".encode()]
    assert await bells.redis.zcard(waiting_key("orders")) == 0


async def test_each_act_is_audited_with_who_and_what_was_before(database: Database, bells: Bells, asha: Person) -> None:
    [bell] = await retrying(database, bells, asha)
    await _act(database, bells, Group.RETRIES, Action.DELETE, bell.execution_id)
    [(actor, action, kind, id_, user_id, changes)] = await audited(database)
    assert (actor, action, kind, id_, user_id) == ("asha", "delete", "execution", bell.execution_id, asha.user_id)
    assert changes == {"status": ["retrying", "cancelled"], "generation": [1, 2]}


async def test_who_comes_after_a_claim_has_lost_and_is_told_what_it_is_now(
    database: Database, bells: Bells, asha: Person
) -> None:
    await worker(database)
    bell = await execution(database, "running", asha, worker="w1")
    [result] = await _act(database, bells, Group.RETRIES, Action.DELETE, bell.execution_id)
    assert (result.verdict, result.said) == (Verdict.LOST, "it is running in worker w1, not retrying")
    assert await row(database, bell) == ("running", 1)
    assert await audited(database) == []


async def test_a_message_that_was_promoted_and_claimed_before_the_script_is_left_to_be_dropped(
    database: Database, bells: Bells, asha: Person
) -> None:
    [bell] = await retrying(database, bells, asha)
    id_ = message_id(bell)
    await bells.ring([bell])
    await bells.redis.lpop(ready_key("orders"))
    await bells.redis.sadd(claims_key("w1", "orders"), id_)
    [result] = await _act(database, bells, Group.RETRIES, Action.DELETE, bell.execution_id)
    assert (result.verdict, result.facts["message_was"]) == (Verdict.DONE, "nowhere")
    assert await bells.redis.hexists(messages_key("orders"), id_)
    assert await bells.redis.smembers(claims_key("w1", "orders")) == {id_.encode()}
    assert await row(database, bell) == ("cancelled", 2)


async def test_a_message_that_was_promoted_meanwhile_is_taken_from_the_list(
    database: Database, bells: Bells, asha: Person
) -> None:
    [bell] = await retrying(database, bells, asha)
    await bells.ring([bell])
    [result] = await _act(database, bells, Group.RETRIES, Action.EDIT, bell.execution_id, edit=Edit(in_seconds=30))
    assert (result.verdict, result.facts["message_was"]) == (Verdict.DONE, "ready")
    assert await bells.redis.llen(ready_key("orders")) == 0
    assert await bells.redis.zrange(waiting_key("orders"), 0, -1) == [f"{bell.execution_id}.2".encode()]


async def test_a_generation_that_is_named_must_still_be_the_one(database: Database, bells: Bells, asha: Person) -> None:
    [bell] = await retrying(database, bells, asha, generation=3)
    [result] = await _act(database, bells, Group.RETRIES, Action.RUN, f"{bell.execution_id}.2")
    assert result.verdict is Verdict.LOST
    assert "it has gone on since it was seen" in result.said


async def test_an_edit_moves_due_time_queue_and_attempts_and_never_the_payload(
    database: Database, bells: Bells, asha: Person
) -> None:
    [bell] = await retrying(database, bells, asha)
    edit = Edit(in_seconds=3600, attempts_left=1, queue="default")
    [result] = await _act(database, bells, Group.RETRIES, Action.EDIT, bell.execution_id, edit=edit)
    assert result.verdict is Verdict.DONE, result
    assert await row(database, bell, "status, queue, attempt, subject") == ("retrying", "default", 2, "")
    wait = await scalar(
        database, "SELECT extract(epoch FROM next_attempt_at - now())::float8 FROM service_task_execution"
    )
    assert 3590 < float(str(wait)) <= 3600
    assert await bells.redis.zcard(waiting_key("orders")) == 0
    due = await bells.redis.zscore(waiting_key("default"), f"{bell.execution_id}.2")
    assert due is not None
    seconds, _ = await bells.redis.time()
    assert 3590 < due / 1000 - int(seconds) <= 3601


async def test_attempts_that_are_taken_away_are_told_of(database: Database, bells: Bells, asha: Person) -> None:
    [bell] = await retrying(database, bells, asha)
    await _act(database, bells, Group.RETRIES, Action.EDIT, bell.execution_id, edit=Edit(attempts_left=1))
    told = await scalar(database, "SELECT string_agg(attempt || ' ' || error, ';') FROM execution_attempts")
    assert told == "2 given up by asha"


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (Edit(attempts_left=4), "order_sync may have 1 to 3 attempts in all"),
        (Edit(attempts_left=0), "may have 1 to 3"),
        (Edit(queue="nosuch"), "there is no queue 'nosuch': use one of orders, strategy, ml, default"),
        (Edit(queue="orders"), "it is so already"),
        (Edit(in_seconds=-1), "that due time is past"),
    ],
)
async def test_an_edit_that_cannot_be_is_refused_with_its_reason(
    database: Database, bells: Bells, asha: Person, edit: Edit, said: str
) -> None:
    [bell] = await retrying(database, bells, asha)
    [result] = await _act(database, bells, Group.RETRIES, Action.EDIT, bell.execution_id, edit=edit)
    assert result.verdict is Verdict.REFUSED
    assert said in result.said
    assert await row(database, bell) == ("retrying", 1)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("UPDATE service_task_execution SET useful_until = now() - interval '1 s'", "it was useful until"),
        ("UPDATE service_status SET service_running = false", "its user's service is stopped"),
        ("UPDATE broker_accounts SET status = 'blocked'", "is blocked"),
    ],
)
async def test_running_a_retry_bypasses_neither_a_deadline_nor_a_halt(
    database: Database, bells: Bells, asha: Person, change: str, said: str
) -> None:
    [bell] = await retrying(database, bells, asha, task="buy_orders")
    async with database.transaction(None) as session:
        await (await session.connection()).exec_driver_sql(change)
    [result] = await _act(database, bells, Group.RETRIES, Action.RUN, bell.execution_id)
    assert result.verdict is Verdict.REFUSED
    assert said in result.said
    assert await row(database, bell) == ("retrying", 1)


async def test_a_sync_runs_though_the_service_is_stopped(database: Database, bells: Bells, asha: Person) -> None:
    [bell] = await retrying(database, bells, asha)
    async with database.transaction(None) as session:
        await (await session.connection()).exec_driver_sql("UPDATE service_status SET service_running = false")
    [result] = await _act(database, bells, Group.RETRIES, Action.RUN, bell.execution_id)
    assert result.verdict is Verdict.DONE


async def test_what_runs_is_killed_by_its_fence_and_its_lost_attempt_is_told(
    database: Database, bells: Bells, asha: Person
) -> None:
    await worker(database)
    bell = await execution(database, "running", asha, worker="w1")
    [result] = await _act(database, bells, Group.QUEUES, Action.KILL, bell.execution_id)
    assert result.verdict is Verdict.DONE, result
    assert await row(database, bell, "status, generation, reason") == ("cancelled", 2, "killed by asha")
    assert (
        await scalar(database, "SELECT outcome || ' ' || error FROM execution_attempts") == "interrupted killed by asha"
    )
    assert await bells.redis.zcard(dead_key("orders")) == 0


async def test_what_is_queued_is_postponed_by_an_edit_and_rung_anew_by_requeue(
    database: Database, bells: Bells, asha: Person
) -> None:
    first = await execution(database, "queued", asha)
    [result] = await _act(database, bells, Group.QUEUES, Action.REQUEUE, first.execution_id)
    assert (result.verdict, result.facts["message"]) == (Verdict.DONE, "ready")
    [result] = await _act(database, bells, Group.QUEUES, Action.EDIT, first.execution_id, edit=Edit(in_seconds=60))
    assert (result.verdict, result.facts["message_was"]) == (Verdict.DONE, "ready")
    assert await row(database, first) == ("retrying", 3)


async def test_shared_work_is_rung_without_a_share(database: Database, bells: Bells) -> None:
    [bell] = await retrying(database, bells, None, task="prices", queue="default")
    [result] = await _act(database, bells, Group.RETRIES, Action.RUN, bell.execution_id, share=1)
    assert result.facts["message"] == "ready"
    assert await bells.redis.lrange(ready_key("default"), 0, -1) == [f"{bell.execution_id}.2".encode()]


async def test_another_users_execution_is_not_there(database: Database, bells: Bells, asha: Person) -> None:
    bala = await person(database, "bala")
    [bell] = await retrying(database, bells, asha)
    reach = reach_of(database, bells)
    refs = await resolve(reach, [str(bell.execution_id)])
    [result] = await act(reach, command(Group.RETRIES, Action.DELETE, user_id=bala.user_id), refs)
    assert (result.verdict, result.said) == (Verdict.REFUSED, f"there is no execution {bell.execution_id}")
    assert await row(database, bell) == ("retrying", 1)


async def test_what_is_named_twice_is_done_once(database: Database, bells: Bells, asha: Person) -> None:
    [bell] = await retrying(database, bells, asha)
    words = (bell.execution_id, f"{bell.execution_id}.1")
    results = await _act(database, bells, Group.RETRIES, Action.DELETE, *words)
    assert [one.verdict for one in results] == [Verdict.DONE, Verdict.DONE]
    assert len(await audited(database)) == 1
    assert await row(database, bell) == ("cancelled", 2)


async def test_an_id_that_nobody_has_is_refused_beside_one_that_is_done(
    database: Database, bells: Bells, asha: Person
) -> None:
    [bell] = await retrying(database, bells, asha)
    results = await _act(database, bells, Group.RETRIES, Action.DELETE, 999, bell.execution_id, 998)
    assert [one.verdict for one in results] == [Verdict.REFUSED, Verdict.DONE, Verdict.REFUSED]


async def test_a_row_that_somebody_holds_is_told_of_and_its_neighbours_are_done(
    database: Database, bells: Bells, asha: Person
) -> None:
    held, free = await retrying(database, bells, asha, count=2)
    async with database.transaction(None) as session:
        await (await session.connection()).exec_driver_sql(
            f"SELECT FROM service_task_execution WHERE id = {held.execution_id} FOR SHARE"
        )
        results = await _act(database, bells, Group.RETRIES, Action.DELETE, held.execution_id, free.execution_id)
    assert [one.verdict for one in results] == [Verdict.LOST, Verdict.DONE]
    assert "somebody is changing it at this moment" in results[0].said


async def test_without_redis_the_row_is_changed_and_the_answer_says_so(
    database: Database, bells: Bells, asha: Person
) -> None:
    [bell] = await retrying(database, bells, asha)
    away = Bells("redis://127.0.0.1:1")
    reach = reach_of(database, away)
    [result] = await act(reach, command(Group.RETRIES, Action.DELETE), await resolve(reach, [str(bell.execution_id)]))
    await away.close()
    assert result.verdict is Verdict.UNSURE
    assert "Redis did not answer" in result.said
    assert await row(database, bell) == ("cancelled", 2)


async def test_nothing_is_edited_to_run_before_its_slot_or_after_its_deadline(
    database: Database, bells: Bells, asha: Person
) -> None:
    soon = await scalar(database, "SELECT now() + interval '1 hour'")
    assert isinstance(soon, datetime)
    bell = await execution(database, "queued", asha, task="submit", at=soon, useful_until=soon + timedelta(hours=1))
    for seconds, said in ((60, "nothing runs before its slot"), (3 * 3600, "it would be too late")):
        [result] = await _act(
            database, bells, Group.QUEUES, Action.EDIT, bell.execution_id, edit=Edit(in_seconds=seconds)
        )
        assert (result.verdict, said in result.said) == (Verdict.REFUSED, True), result
    for action in (Action.RUN, Action.REQUEUE):
        [result] = await _act(database, bells, Group.QUEUES, action, bell.execution_id)
        assert (result.verdict, "that is to come" in result.said) == (Verdict.REFUSED, True), result
    [result] = await _act(database, bells, Group.QUEUES, Action.EDIT, bell.execution_id, edit=Edit(in_seconds=5400))
    assert result.verdict is Verdict.DONE, result
