"""What has ended can be done again: a new execution beside it, never against a deadline, a halt or an intent."""

import pytest
from sqlalchemy import text

from db.executions import Bell
from db.transaction import Database
from tests.halted import halt, resume
from tests.people import Person, person, replay_from, scalar
from tests.worker.inspection.makings import (
    audited,
    bury,
    command,
    dead,
    execution,
    reach_of,
    retrying,
    row,
    stock_dead,
    stock_ready,
    stored,
)
from trading.halts import Stops
from worker.bells.calls import text as text_of
from worker.bells.keys import dead_errors_key, dead_key, dead_messages_key, messages_key, ready_key, waiting_key
from worker.bells.ringing import Bells
from worker.inspection.acting import act, resolve
from worker.inspection.letters import fields_of
from worker.inspection.results import Action, Edit, Group, Result, Verdict
from worker.wire import encode, message_id


@pytest.fixture
async def asha(database: Database) -> Person:
    return await person(database)


async def _act(
    database: Database,
    bells: Bells,
    action: Action,
    *words: object,
    group: Group = Group.DEAD,
    edit: Edit | None = None,
) -> list[Result]:
    reach = reach_of(database, bells)
    return await act(reach, command(group, action, edit), await resolve(reach, [str(word) for word in words]))


async def _new(database: Database, old: Bell, columns: str) -> tuple[object, ...]:
    async with database.reading(None) as session:
        query = text(f"SELECT {columns} FROM service_task_execution WHERE parent_id = :id ORDER BY id DESC LIMIT 1")
        return tuple((await session.execute(query, {"id": old.execution_id})).one())


async def test_a_dead_letter_that_is_requeued_is_a_new_execution_of_the_same_slot(
    database: Database, bells: Bells, asha: Person
) -> None:
    bell = await dead(database, bells, asha)
    [result] = await _act(database, bells, Action.REQUEUE, bell.execution_id)
    assert (result.verdict, result.facts["letter_removed"]) == (Verdict.DONE, True)
    new, subject, slot, as_of, status = await _new(database, bell, "id, subject, scheduled_for, as_of, status")
    assert (subject, slot, as_of, status) == ("again:1", bell.scheduled_for, bell.scheduled_for, "queued")
    assert await row(database, bell) == ("failed", 1)
    assert await bells.redis.zcard(dead_key("orders")) == await bells.redis.hlen(dead_messages_key("orders")) == 0
    assert await bells.redis.lrange(ready_key("orders"), 0, -1) == [f"{new}.1".encode()]
    [(actor, action, _, id_, user_id, changes)] = await audited(database)
    assert (actor, action, id_, user_id) == ("asha", "requeue", bell.execution_id, asha.user_id)
    assert changes == {"status": "failed", "again": new}


async def test_what_a_halt_keeps_from_beginning_is_not_done_again_before_it_ends(
    database: Database, bells: Bells, asha: Person
) -> None:
    bell = await dead(database, bells, asha)
    id_ = await halt(database, Stops.TASKS, user_id=asha.user_id)
    [result] = await _act(database, bells, Action.REQUEUE, bell.execution_id)
    assert (result.verdict, f"halt {id_} keeps it from beginning" in result.said) == (Verdict.REFUSED, True)
    await resume(database)
    [result] = await _act(database, bells, Action.REQUEUE, bell.execution_id)
    assert result.verdict == Verdict.DONE


async def test_while_it_is_done_again_it_is_not_done_a_third_time(
    database: Database, bells: Bells, asha: Person
) -> None:
    bell = await dead(database, bells, asha)
    [first] = await _act(database, bells, Action.REQUEUE, bell.execution_id)
    [second] = await _act(database, bells, Action.REQUEUE, bell.execution_id)
    assert second.verdict is Verdict.REFUSED
    assert f"execution {first.facts['execution_id']} does this work already: it is queued" in second.said
    async with database.transaction(None) as session:
        await session.execute(text("UPDATE service_task_execution SET status = 'failed' WHERE status = 'queued'"))
    await _act(database, bells, Action.REQUEUE, bell.execution_id)
    assert await _new(database, bell, "subject") == ("again:2",)


async def test_a_letter_that_stayed_when_its_work_was_done_again_goes_and_nothing_is_done_twice(
    database: Database, bells: Bells, asha: Person
) -> None:
    bell = await dead(database, bells, asha)
    letter = message_id(bell)
    await _act(database, bells, Action.REQUEUE, letter)
    async with database.transaction(None) as session:
        await session.execute(text("UPDATE service_task_execution SET status = 'success' WHERE status = 'queued'"))
    await bury(bells, bell)  # as if Redis had not heard of it
    [again] = await _act(database, bells, Action.REQUEUE, letter)
    assert (again.verdict, again.said.startswith("done already by execution")) == (Verdict.DONE, True)
    assert await scalar(database, "SELECT count(*) FROM service_task_execution") == 2
    assert await bells.redis.zcard(dead_key("orders")) == 0


async def test_two_ends_of_one_slot_make_one_new_execution(database: Database, bells: Bells, asha: Person) -> None:
    bell = await dead(database, bells, asha)
    twin = await dead(database, bells, asha, subject="again:1")
    results = await _act(database, bells, Action.REQUEUE, bell.execution_id, twin.execution_id)
    assert [one.verdict for one in results] == [Verdict.DONE, Verdict.LOST]
    assert await scalar(database, "SELECT count(*) FROM service_task_execution WHERE subject = 'again:2'") == 1


async def test_what_is_about_something_stays_about_it_and_has_a_slot_of_its_own(
    database: Database, bells: Bells, asha: Person
) -> None:
    bell = await dead(database, bells, asha, task="submit", subject="12:1")
    [result] = await _act(database, bells, Action.REQUEUE, bell.execution_id)
    assert "nothing is placed twice" in result.said
    subject, later = await _new(database, bell, "subject, scheduled_for > as_of")
    assert (subject, later) == ("12:1", True)


async def test_shared_work_is_found_by_those_who_need_it(database: Database, bells: Bells) -> None:
    bell = await dead(database, bells, None, task="prices", queue="default")
    await _act(database, bells, Action.REQUEUE, bell.execution_id)
    assert await _new(database, bell, "subject, status, rung_at IS NULL") == ("", "queued", False)
    assert await bells.redis.llen(ready_key("default")) == 1


async def test_on_a_clock_that_stands_shared_work_comes_a_moment_later(database: Database, bells: Bells) -> None:
    await replay_from(database)
    bell = await dead(database, bells, None, task="prices", queue="default")
    [result] = await _act(database, bells, Action.REQUEUE, bell.execution_id)
    assert result.verdict is Verdict.DONE
    assert await _new(database, bell, "scheduled_for - as_of = interval '1 microsecond', rung_at IS NULL") == (
        True,
        True,
    )


async def test_prerequisites_are_waited_for_again(database: Database, bells: Bells, asha: Person) -> None:
    bell = await dead(database, bells, asha, task="sell_monitor")
    async with database.transaction(None) as session:
        await session.execute(text("UPDATE service_task_execution SET waiting_for = '[]'"))
    [result] = await _act(database, bells, Action.REQUEUE, bell.execution_id)
    assert "it waits for its prerequisites first" in result.said
    assert await _new(database, bell, "status, rung_at IS NULL") == ("waiting", True)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("UPDATE service_task_execution SET useful_until = now() - interval '1 s'", "it was useful until"),
        ("UPDATE service_status SET service_running = false", "its user's service is stopped"),
        ("UPDATE broker_accounts SET status = 'blocked'", "is blocked"),
        ("UPDATE service_task_execution SET status = 'queued'", "only what has ended is done again"),
        ("UPDATE service_task_execution SET task_name = 'nosuch'", "there is no task 'nosuch'"),
    ],
)
async def test_doing_again_bypasses_neither_a_deadline_nor_a_halt(
    database: Database, bells: Bells, asha: Person, change: str, said: str
) -> None:
    bell = await dead(database, bells, asha, task="buy_orders")
    async with database.transaction(None) as session:
        await session.execute(text(change))
    [result] = await _act(database, bells, Action.REQUEUE, bell.execution_id)
    assert result.verdict is Verdict.REFUSED
    assert said in result.said
    assert await bells.redis.zcard(dead_key("orders")) == 1


async def test_a_dead_letter_is_archived_before_it_is_deleted(database: Database, bells: Bells, asha: Person) -> None:
    bell = await dead(database, bells, asha)
    message = await stored(bells, dead_messages_key("orders"), message_id(bell))
    [result] = await _act(database, bells, Action.DELETE, bell.execution_id)
    assert result.verdict is Verdict.DONE
    assert await bells.redis.zcard(dead_key("orders")) == 0
    [(_, action, kind, id_, user_id, changes)] = await audited(database)
    assert (action, kind, id_, user_id) == ("delete", "execution", bell.execution_id, asha.user_id)
    assert changes["message"].encode() == message
    [late] = await _act(database, bells, Action.DELETE, bell.execution_id)
    assert late.verdict is Verdict.LOST


@pytest.mark.parametrize("action", [Action.KILL, Action.EDIT])
async def test_what_has_ended_can_be_neither_killed_nor_edited(
    database: Database, bells: Bells, asha: Person, action: Action
) -> None:
    bell = await dead(database, bells, asha)
    [result] = await _act(database, bells, action, bell.execution_id)
    assert (result.verdict, "a final state stays" in result.said) == (Verdict.REFUSED, True)


async def test_a_dead_letter_without_an_execution_is_ready_again_under_another_id(
    database: Database, bells: Bells
) -> None:
    await stock_dead(bells, "abc", error='{"error":"no actor mail","at":1}')
    [result] = await _act(database, bells, Action.REQUEUE, "abc")
    [id_] = map(text_of, await bells.redis.lrange(ready_key("orders"), 0, -1))
    message = fields_of(await stored(bells, messages_key("orders"), id_))
    assert (result.verdict, result.facts["message_id"]) == (Verdict.DONE, id_)
    assert id_ != "abc"
    assert message["options"] == {"redis_message_id": id_, "retries": 0}
    assert (message["message_id"], message["args"]) == ("m-abc", ["a"])
    assert await bells.redis.exists(dead_key("orders"), dead_messages_key("orders"), dead_errors_key("orders")) == 0
    [(_, action, kind, id_of, _, changes)] = await audited(database)
    assert (action, kind, id_of, changes["message_id"]) == ("requeue", "message", None, "abc")


async def test_bytes_that_are_no_message_can_only_be_deleted_and_are_kept_in_the_audit(
    database: Database, bells: Bells
) -> None:
    await stock_dead(bells, "bad", message=b"\xff\x00not json")
    [refused] = await _act(database, bells, Action.REQUEUE, "bad")
    assert (refused.verdict, "its bytes are no message" in refused.said) == (Verdict.REFUSED, True)
    [deleted] = await _act(database, bells, Action.DELETE, "bad")
    assert deleted.verdict is Verdict.DONE
    [(*_, changes)] = await audited(database)
    assert changes["message_base64"] == "/wBub3QganNvbg=="


async def test_a_message_without_an_execution_can_be_postponed_run_moved_killed_and_deleted(
    database: Database, bells: Bells
) -> None:
    await stock_ready(bells, "s")
    [postponed] = await _act(database, bells, Action.EDIT, "s", group=Group.QUEUES, edit=Edit(in_seconds=60))
    assert postponed.facts == {"message_was": "ready", "message": "waiting", "queue": "orders", "message_id": "s"}
    [moved] = await _act(database, bells, Action.EDIT, "s", group=Group.RETRIES, edit=Edit(queue="default"))
    assert moved.facts["queue"] == "default"
    assert await bells.redis.zcard(waiting_key("orders")) == 0
    [run] = await _act(database, bells, Action.RUN, "s", group=Group.RETRIES)
    assert (run.verdict, await bells.redis.lrange(ready_key("default"), 0, -1)) == (Verdict.DONE, [b"s"])
    [killed] = await _act(database, bells, Action.KILL, "s", group=Group.QUEUES)
    assert (killed.verdict, await bells.redis.zcard(dead_key("default"))) == (Verdict.DONE, 1)
    assert (await stored(bells, dead_errors_key("default"), "s")).startswith(b'{"error":"killed by asha"')
    [deleted] = await _act(database, bells, Action.DELETE, "s")
    assert deleted.verdict is Verdict.DONE
    assert [action for _, action, *_ in await audited(database)] == ["edit", "edit", "run", "kill", "delete"]


async def test_a_ready_message_that_a_worker_has_claimed_is_not_touched(database: Database, bells: Bells) -> None:
    await stock_ready(bells, "s")
    await bells.redis.lpop(ready_key("orders"))
    [result] = await _act(database, bells, Action.DELETE, "s", group=Group.QUEUES)
    assert (result.verdict, "somebody else has it" in result.said) == (Verdict.LOST, True)
    assert await bells.redis.hexists(messages_key("orders"), "s")


async def test_two_who_delete_one_message_cannot_both_win(database: Database, bells: Bells) -> None:
    await stock_dead(bells, "abc")
    results = [*await _act(database, bells, Action.DELETE, "abc"), *await _act(database, bells, Action.DELETE, "abc")]
    assert [one.verdict for one in results] == [Verdict.DONE, Verdict.LOST]


async def test_a_letter_of_an_execution_whose_row_is_gone_is_a_message_alone(database: Database, bells: Bells) -> None:
    bell = Bell("order_sync", "orders", (await execution(database, "failed")).scheduled_for, 4711, 2)
    await bury(bells, bell)
    [result] = await _act(database, bells, Action.DELETE, "4711.2")
    assert result.verdict is Verdict.DONE
    assert encode(bell)
    [bare] = await _act(database, bells, Action.DELETE, "4711")
    assert (bare.verdict, bare.said) == (Verdict.REFUSED, "there is no execution 4711")


async def test_a_retry_can_be_requeued_at_its_own_time(database: Database, bells: Bells, asha: Person) -> None:
    [bell] = await retrying(database, bells, asha)
    await bells.redis.flushall()
    [result] = await _act(database, bells, Action.REQUEUE, bell.execution_id, group=Group.RETRIES)
    assert (result.verdict, result.facts["message"], result.facts["message_was"]) == (
        Verdict.DONE,
        "waiting",
        "nowhere",
    )
    assert await bells.redis.zrange(waiting_key("orders"), 0, -1) == [f"{bell.execution_id}.2".encode()]
