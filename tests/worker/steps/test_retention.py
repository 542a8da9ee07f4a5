"""What was kept long enough goes, a bite at a time; what anybody may still need stays."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from db.executions import Execution, Fenced
from db.retention import KEPT_FOR, RetentionPolicy
from tests.desk import DAY, NEXT, Desk
from worker.outcome import Outcome
from worker.steps.retention import keep, retention

WEEK_LATER = timedelta(days=7)
ERROR = (
    "INSERT INTO error_logs (error_type, error_message, resolved, resolved_at, occurred_at) VALUES "
    "('E', '{name}', {resolved}, {at}, now() - interval '900 days')"
)
NOTICE = (
    "INSERT INTO notifications (user_id, type, event, level, title, message, dedupe_key, read, read_at, created_at) "
    "SELECT id, 'trading', 'order_placed', 'info', '{name}', 'm', '{name}', {read}, {at}, now() - interval '900 days' "
    "FROM users"
)


def ago(days: int) -> str:
    return f"now() - interval '{days} days'"


async def tonight(desk: Desk, at: datetime | None = None, useful_minutes: float = 240) -> Execution:
    """Claim the night's execution a week after DAY, in the market's time."""
    now = at or desk.opens(DAY) + WEEK_LATER
    await desk.world.set_clock(now)
    return await desk.world.running("retention", useful_until=now + timedelta(minutes=useful_minutes))


async def kept(desk: Desk, policy: RetentionPolicy = KEPT_FOR, bite: int = 5_000) -> dict[str, Any]:
    return dict((await keep(desk.world.resources, await tonight(desk), policy, bite)).details)


async def names(desk: Desk, table: str, column: str) -> list[object]:
    return [name for (name,) in await desk.world.rows(f"SELECT {column} FROM {table} ORDER BY 1")]


async def aged(desk: Desk) -> None:
    """Let every execution have ended four days ago, of machine time."""
    await desk.world.change(
        "UPDATE service_task_execution SET finished_at = now() - interval '4 days' WHERE status = 'success'"
    )


async def watched(desk: Desk) -> None:
    """Run a day of watches that see nothing, over a position, and one look at the book before it that books a fill."""
    await desk.held()
    await desk.world.change(f"INSERT INTO bars VALUES ('AAA', '{DAY}', 100, 151, 99, 150, 1000)")
    id_ = await desk.offered("118")
    await desk.run("order_sync")
    await desk.world.set_clock(desk.opens(NEXT))
    await desk.run("submit", f"{id_}:1")
    await desk.run("order_sync")
    for minutes in (1, 2, 3):
        await desk.world.set_clock(desk.opens(NEXT, minutes))
        await desk.run("order_sync")
        assert (await desk.run("sell_monitor")).details["planned"] == 0
    await desk.world.set_clock(desk.opens(NEXT, 15))
    await desk.run("position_monitor")


async def test_an_unresolved_error_is_never_deleted(desk: Desk) -> None:
    await desk.world.change(ERROR.format(name="unresolved", resolved="false", at="NULL"))
    await desk.world.change(ERROR.format(name="resolved", resolved="true", at=ago(91)))
    await desk.world.change(ERROR.format(name="resolved lately", resolved="true", at=ago(89)))
    assert (await kept(desk))["errors"] == 1
    assert await names(desk, "error_logs", "error_message") == ["resolved lately", "unresolved"]


async def test_a_notification_goes_long_after_it_was_read_and_not_before(desk: Desk) -> None:
    await desk.world.change(NOTICE.format(name="unread", read="false", at="NULL"))
    await desk.world.change(NOTICE.format(name="read", read="true", at=ago(91)))
    await desk.world.change(NOTICE.format(name="read lately", read="true", at=ago(89)))
    assert (await kept(desk))["notifications"] == 1
    assert await names(desk, "notifications", "title") == ["read lately", "unread"]


async def test_what_the_sweep_put_right_is_told_for_a_month(desk: Desk) -> None:
    for kind, at in (("old", ago(31)), ("young", ago(29))):
        await desk.world.change(f"INSERT INTO healings (kind, count, at) VALUES ('{kind}', 1, {at})")
    assert (await kept(desk))["healings"] == 1
    assert await names(desk, "healings", "kind") == ["young"]


async def test_log_lines_go_by_whole_weeks_of_machine_time(desk: Desk) -> None:
    line = "INSERT INTO service_logs (timestamp, level, module, message) VALUES ({at}, 'INFO', 'm', '{name}')"
    old = "SELECT make_partitions('service_logs', 'week', (now() - interval '50 days')::date, now()::date)"
    await desk.world.change(old)
    await desk.world.change(line.format(at=ago(45), name="old"))
    await desk.world.change(line.format(at=ago(29), name="young"))
    assert (await kept(desk))["log_weeks"] >= 1
    assert await names(desk, "service_logs", "message") == ["young"]
    assert (await kept(desk))["log_weeks"] == 0


async def test_ended_processes_are_forgotten_and_live_ones_are_not(desk: Desk) -> None:
    worker = "INSERT INTO worker_processes (name, host, pid, queues, lease_until, ended_at) VALUES ('{0}', 'h', 1, 'q', now(), {1})"
    for name, ended in (("gone", ago(8)), ("ended", ago(6)), ("live", "NULL")):
        await desk.world.change(worker.format(name, ended))
    scheduler = (
        "INSERT INTO scheduler_processes (name, host, pid, seen_at, stopped_at) VALUES ('{0}', 'h', 1, {1}, {2})"
    )
    for name, seen, stopped in (("killed", ago(8), "NULL"), ("stopped", ago(8), ago(8)), ("live", "now()", "NULL")):
        await desk.world.change(scheduler.format(name, seen, stopped))
    assert (await kept(desk))["processes"] == 3
    assert await names(desk, "worker_processes", "name") == ["ended", "live"]
    assert await names(desk, "scheduler_processes", "name") == ["live"]


async def successes(desk: Desk) -> dict[str, int]:
    count = "SELECT task_name, count(*) FROM service_task_execution WHERE status = 'success' GROUP BY 1"
    return {str(task): int(str(number)) for task, number in await desk.world.rows(count)}


async def test_watches_that_saw_nothing_live_three_days_and_then_as_counts(desk: Desk) -> None:
    await watched(desk)
    await aged(desk)
    before = await successes(desk)
    gone = (await kept(desk))["executions"]
    counted = "SELECT task_name, day, user_id, account_id, executions FROM execution_counts ORDER BY task_name"
    user_id, account_id = desk.who.user_id, desk.who.account_id
    assert await desk.world.rows(counted) == [
        ("order_sync", NEXT, user_id, account_id, 4),
        ("position_monitor", NEXT, user_id, account_id, 1),
        ("sell_monitor", NEXT, user_id, account_id, 3),
    ]
    assert gone == 8
    left = await successes(desk)
    assert left == {"submit": before["submit"], "order_sync": before["order_sync"] - 4}


async def test_what_did_something_failed_or_took_two_attempts_stays(desk: Desk) -> None:
    await watched(desk)
    await aged(desk)
    await desk.world.change("UPDATE service_task_execution SET attempt = 2 WHERE task_name = 'position_monitor'; ")
    await desk.world.change("UPDATE service_task_execution SET status = 'failed' WHERE task_name = 'sell_monitor'")
    await kept(desk)
    assert await names(desk, "execution_counts", "task_name") == ["order_sync"]
    done = "SELECT count(*) FROM service_task_execution WHERE details ->> 'fills' = '1'"
    assert await desk.world.row(done) == (1,)


@pytest.mark.parametrize(("market_days", "machine_days"), [(2, 9), (9, 2)])
async def test_an_execution_goes_when_it_is_old_by_both_clocks(desk: Desk, market_days: int, machine_days: int) -> None:
    """A replay of a past year has only just made its record, however long ago the market had it."""
    await watched(desk)
    await desk.world.change(f"UPDATE service_task_execution SET finished_at = {ago(machine_days)}")
    execution = await tonight(desk, desk.opens(NEXT) + timedelta(days=market_days))
    assert (await retention(desk.world.resources, execution)).details["executions"] == 0


async def test_small_bites_eat_the_same_and_no_day_is_counted_twice(desk: Desk) -> None:
    await watched(desk)
    await aged(desk)
    await desk.world.change(NOTICE.format(name="read", read="true", at=ago(91)))
    assert (await kept(desk, bite=2))["executions"] == 8
    again = await kept(desk, bite=2)
    assert (again["executions"], again["notifications"]) == (0, 0)
    assert await desk.world.row("SELECT sum(executions) FROM execution_counts") == (8,)


async def test_a_watch_settled_late_is_added_to_its_day(desk: Desk) -> None:
    await watched(desk)
    await aged(desk)
    await desk.world.change("UPDATE service_task_execution SET finished_at = now() WHERE task_name = 'sell_monitor'")
    await kept(desk)
    await aged(desk)
    assert (await kept(desk))["executions"] == 3
    assert await desk.world.row("SELECT sum(executions) FROM execution_counts WHERE day = '2024-03-06'") == (8,)


async def test_past_its_time_it_stops_and_says_that_some_is_left(desk: Desk) -> None:
    await desk.world.change(ERROR.format(name="resolved", resolved="true", at=ago(91)))
    execution = await tonight(desk, useful_minutes=60)
    await desk.world.set_clock(desk.opens(DAY, 61) + WEEK_LATER)
    outcome: Outcome = await retention(desk.world.resources, execution)
    assert (outcome.details["errors"], outcome.details["left_for_tomorrow"]) == (0, True)


async def test_one_that_lost_its_execution_deletes_nothing(desk: Desk) -> None:
    await desk.world.change(ERROR.format(name="resolved", resolved="true", at=ago(91)))
    execution = await tonight(desk)
    await desk.world.fence_off(execution)
    with pytest.raises(Fenced):
        await retention(desk.world.resources, execution)
    assert await names(desk, "error_logs", "error_message") == ["resolved"]


async def test_another_policy_keeps_for_as_long_as_it_says(desk: Desk) -> None:
    await desk.world.change(ERROR.format(name="resolved", resolved="true", at=ago(91)))
    assert (await kept(desk, replace(KEPT_FOR, resolved_errors=100)))["errors"] == 0


async def test_a_night_with_nothing_to_do_does_nothing(desk: Desk) -> None:
    await desk.world.change("SELECT drop_partitions('service_logs', 'week', (now() - interval '30 days')::date)")
    details = await kept(desk)
    assert details.pop("left_for_tomorrow") is False
    assert set(details.values()) == {0}
