"""Live days at another pace, prices arriving in time, late, never, and again: what waits, what runs, what is skipped."""

from datetime import date
from typing import Any

from db.invariants import check
from tests.flow.live import LiveDays, live_days

EVE, FIRST, LATE, NEVER, AFTER = (
    date(2025, 12, 26), date(2025, 12, 29), date(2025, 12, 30), date(2025, 12, 31), date(2026, 1, 1),
)  # fmt: skip
FAST, NIGHT = 7200.0, 14400.0


async def test_live_days_wait_for_prices_and_skip_with_the_reason_what_never_gets_them() -> None:
    async with live_days(EVE, FIRST, AFTER, users=4, symbols=20) as live:
        await _prices_in_time(live)
        await _prices_late(live)
        await _prices_never(live)
        await _the_morning_after(live)
        await _the_evening_after(live)


async def _prices_in_time(live: LiveDays) -> None:
    await live.run_until(FIRST, "15:40", FAST)
    await live.arrive(FIRST)
    await live.run_until(FIRST, "15:46")
    await live.all_are("prices", FIRST, "success")
    await live.run_until(FIRST, "16:06")
    await live.all_are("buy_orders", FIRST, "success")
    await live.all_are("submit", FIRST, "success")
    assert len(await _orders(live, "buy", LATE)) > 0
    await live.run_until(FIRST, "18:01")
    await live.all_are("eod_cleanup", FIRST, "success")
    await live.run_until(LATE, "08:30", NIGHT)


async def _prices_late(live: LiveDays) -> None:
    await live.run_until(LATE, "15:46", FAST)
    await live.all_are("prices", LATE, "skipped")
    assert {row.status for row in await _orders(live, "buy", LATE)} <= {"parked", "open"}, "nobody saw the market yet"
    (live.folder / f"{LATE}.csv").write_text((await live.text_of(LATE))[:-30])
    await live.run_until(LATE, "16:16")
    for task in ("analysis", "buy_orders"):
        await live.all_are(task, LATE, "waiting")
    await live.all_are("prices", LATE, "skipped")
    assert "still being written" in (await live.executions("prices", LATE))[-1].reason
    await live.run_until(LATE, "17:12")
    await live.arrive(LATE)
    await live.run_until(LATE, "17:16")
    for task in ("analysis", "buy_orders"):
        await live.all_are(task, LATE, "success")
    await _buys_knew_what_was_filled(live)
    await live.run_until(LATE, "18:01")
    await live.all_are("eod_cleanup", LATE, "success")
    await live.run_until(NEVER, "09:05", NIGHT)


async def _buys_knew_what_was_filled(live: LiveDays) -> None:
    """Each account bought after its own fills were booked; what another's are about is nothing to it."""
    loaded = (await live.executions("prices", LATE))[-1]
    assert loaded.finished_at >= loaded.executed_at
    accounts = await live.rows(
        "SELECT f.account_id, f.booked, (SELECT min(e.executed_at) FROM service_task_execution e "
        "WHERE e.account_id = f.account_id AND e.task_name = 'buy_orders' AND e.status = 'success' "
        "AND e.scheduled_for > f.first) AS began "
        "FROM (SELECT account_id, min(filled_at) AS first, max(created_at) AS booked FROM fills GROUP BY 1) f"
    )
    assert len(accounts) > 0
    assert [row for row in accounts if row.booked >= row.began] == []


async def _prices_never(live: LiveDays) -> None:
    held = await live.rows("SELECT account_id, symbol FROM positions WHERE closed_at IS NULL")
    assert len(held) > 0
    await live.run_until(NEVER, "09:20", 600.0)

    async def offered() -> bool:
        exits = await _orders(live, "sell", NEVER)
        return len(exits) == len(held) and all(row.status in {"acked", "open"} for row in exits)

    await live.until(offered, "an exit at the venue for each share held")
    await live.run_until(NEVER, "16:06", FAST)
    for task in ("analysis", "buy_orders"):
        await live.all_are(task, NEVER, "waiting")
    await live.run_until(AFTER, "00:05", FAST)
    await live.all_are("eod_cleanup", NEVER, "skipped")
    await live.run_until(AFTER, "08:49", NIGHT)
    assert set(await live.statuses("buy_orders", NEVER)) == {"waiting"}
    await live.run_until(AFTER, "08:51", 60.0)
    for task in ("analysis", "buy_orders"):
        await live.all_are(task, NEVER, "skipped")
    reasons = {
        task: {row.reason for row in await live.executions(task, NEVER)}
        for task in ("prices", "analysis", "buy_orders", "eod_cleanup")
    }
    assert reasons["prices"] == {f"only 0 of 20 symbols have a bar for {NEVER} yet"}
    assert reasons["analysis"] == reasons["eod_cleanup"] == {"late: at its deadline it still waited for prices"}
    assert all("still waited for analysis" in reason for reason in reasons["buy_orders"])


async def _the_morning_after(live: LiveDays) -> None:
    await live.run_until(AFTER, "09:16", 600.0)

    async def over() -> bool:
        orders = await live.rows("SELECT status FROM orders WHERE session_day <= :day", day=NEVER)
        return all(row.status in {"filled", "expired", "cancelled", "failed"} for row in orders)

    await live.until(over, "every order of a session that is over has ended")
    assert {row.broker_word for row in await _orders(live, "sell", NEVER)} == {"expired"}
    assert await live.rows("SELECT task_name, reason FROM service_task_execution WHERE status = 'failed'") == []
    await _logs_tell_from_slot_to_order(live)
    assert await live.rows("SELECT task_name, error_message FROM error_logs") == []
    # The evening that never got its prices cleaned nothing up, and a doctor says so.
    assert {name for name, _ in await _findings(live)} <= {"failed_orders_expire"}


async def _the_evening_after(live: LiveDays) -> None:
    """The next evening with prices makes up for the one without."""
    await live.run_until(AFTER, "15:40", FAST)
    await live.arrive(AFTER)
    await live.run_until(AFTER, "18:01")
    for task in ("prices", "analysis", "buy_orders", "eod_cleanup"):
        await live.all_are(task, AFTER, "success")
    assert await _findings(live) == []


async def _findings(live: LiveDays) -> list[tuple[str, object]]:
    """Return what breaks an invariant: its name, and the rows that do."""
    async with live.database.reading(None) as session:
        return [(finding.name, finding.rows) for finding in await check(session)]


async def _logs_tell_from_slot_to_order(live: LiveDays) -> None:
    """Each submit's last line is in its table and names what it was about, as each fill's does; none the ids of another."""
    submits = await live.rows(
        "SELECT e.id, e.user_id, e.account_id, split_part(e.subject, ':', 1)::int AS order_id, o.symbol "
        "FROM service_task_execution e JOIN orders o ON o.id::text = split_part(e.subject, ':', 1) "
        "WHERE e.task_name = 'submit' ORDER BY e.id"
    )
    query = (
        "SELECT execution_id AS id, user_id, (context->>'account_id')::int AS account_id, "
        "(context->>'order_id')::int AS order_id, context->>'symbol' AS symbol FROM service_logs "
        "WHERE message = 'execution_ended' AND task_name = 'submit' ORDER BY 1"
    )

    async def there() -> bool:
        return len(await live.rows(query)) >= len(submits)

    await live.until(there, "a log line of every submit")
    assert [tuple(row) for row in await live.rows(query)] == [tuple(row) for row in submits]
    booked = (
        "SELECT (context->>'order_id')::int AS order_id, context->>'broker_fill_id' AS fill FROM service_logs "
        "WHERE message = 'fill_booked' AND task_name = 'order_sync' ORDER BY 1, 2"
    )
    fills = await live.rows("SELECT order_id, broker_fill_id FROM fills ORDER BY 1, 2")
    assert [tuple(row) for row in await live.rows(booked)] == [tuple(row) for row in fills]
    strays = (
        "SELECT task_name, message FROM service_logs WHERE context->'order_id' IS NOT NULL AND task_name <> 'submit' "
        "AND message <> 'fill_booked'"
    )
    assert await live.rows(strays) == []
    (ended,) = await live.rows(
        "SELECT bool_and(context->>'slot' <> '' AND (context->>'attempt')::int >= 1 AND context->>'generation' <> '' "
        "AND context->>'message_id' = execution_id || '.' || (context->>'generation')) AS named "
        "FROM service_logs WHERE message = 'execution_ended'"
    )
    assert ended.named


async def _orders(live: LiveDays, side: str, day: date) -> list[Any]:
    return await live.rows("SELECT * FROM orders WHERE side = :side AND session_day = :day", side=side, day=day)
