"""Failed buys before the open: decided and sized anew, once, and only those that money alone stopped."""

from datetime import timedelta
from decimal import Decimal

import pytest

from tests.desk import DAY, EVE, NEXT, Desk
from tests.evenings import analysed, candidate, evening

ASKED = "SELECT id, status, reason, retry_count, reserved FROM orders WHERE retry_of IS NULL ORDER BY rank, id"


async def short(desk: Desk, *symbols: str, cash: int = 1000) -> None:
    """Let buy_orders find too little money for shares; then it is the morning after, 30 minutes before the open."""
    await desk.world.change(f"UPDATE broker_accounts SET cash = {cash}")
    await evening(desk, [candidate(symbol, 10 + number) for number, symbol in enumerate(symbols)])
    await desk.run("buy_orders")
    await desk.world.change("DELETE FROM service_task_execution WHERE status = 'queued'")
    await desk.world.set_clock(desk.opens(DAY, -30))


async def paid(desk: Desk, cash: int = 1_000_000) -> None:
    await desk.world.change(f"UPDATE broker_accounts SET cash = {cash}")


async def test_an_order_that_waited_for_money_is_placed_anew_and_the_old_one_says_so(desk: Desk) -> None:
    await short(desk, "AAA")
    await paid(desk)
    outcome = await desk.run("premarket_retry")
    assert outcome.details == {
        "retried": 1, "placed": 1, "failed": 0, "skipped": 0, "superseded": 0, "refused": {},
    }  # fmt: skip
    ((old, status, reason, *_),) = await desk.world.rows(ASKED)
    columns = "id, status, retry_of, retry_count, intent_key, session_day, variety, first_failed_at, retry_until"
    (new, *rest) = await desk.world.row(f"SELECT {columns} FROM orders WHERE retry_of IS NOT NULL")
    key = "dip:2024-03-04:AAA:buy:entry:r1"
    assert rest == ["planned", old, 1, key, DAY, "amo", desk.closes(EVE, 35), desk.closes(DAY)]
    assert (status, reason) == ("cancelled", f"tried again as order {new}")
    assert await desk.follow_ups() == [("submit", f"{new}:1", desk.opens(DAY, -30))]
    assert (await desk.world.row("SELECT count(DISTINCT tag) FROM orders")) == (2,)


async def test_the_retry_is_bought_at_the_open(desk: Desk) -> None:
    await short(desk, "AAA")
    await paid(desk)
    await desk.run("premarket_retry")
    ((_, subject, _),) = await desk.follow_ups()
    await desk.run("submit", subject)
    await desk.world.set_clock(desk.opens(DAY))
    await desk.run("order_sync")
    assert await desk.world.row("SELECT symbol, quantity FROM positions") == ("AAA", 2000)


async def test_the_size_comes_from_todays_configuration_never_from_the_failed_order(desk: Desk) -> None:
    await short(desk, "AAA")
    await paid(desk)
    await desk.world.change("UPDATE user_trading_config SET user_capital = 50000")
    await desk.run("premarket_retry")
    assert await desk.world.rows("SELECT quantity FROM orders ORDER BY id") == [(2000,), (500,)]


async def test_money_goes_by_rank_and_who_is_still_short_stays_and_is_counted(desk: Desk) -> None:
    await short(desk, "AAA", "BBB")
    await paid(desk, 300_000)
    outcome = await desk.run("premarket_retry")
    assert (outcome.details["placed"], outcome.details["failed"]) == (1, 1)
    left = await desk.world.row(
        "SELECT symbol, reason, retry_count, last_retry_attempt, retry_until FROM orders WHERE status = 'failed'"
    )
    assert left[0] == "BBB"
    assert "available" in str(left[1])
    assert left[2:] == (1, desk.opens(DAY, -30), desk.closes(DAY))


async def test_running_again_counts_no_second_try(desk: Desk) -> None:
    await short(desk, "AAA", "BBB")
    await paid(desk, 300_000)
    execution = await desk.world.running("premarket_retry", desk.who)
    await desk.run_as(execution)
    before = await desk.world.rows("SELECT * FROM orders ORDER BY id")
    await desk.world.change(f"UPDATE service_task_execution SET status = 'running' WHERE id = {execution.id}")
    assert (await desk.run_as(execution)).details["placed"] == 0
    assert await desk.world.rows("SELECT * FROM orders ORDER BY id") == before


@pytest.mark.parametrize("kind", ["rms_reject", "circuit", "transient", "ambiguous"])
async def test_what_the_broker_refused_for_another_reason_is_never_tried_again(desk: Desk, kind: str) -> None:
    await short(desk, "AAA")
    await paid(desk)
    await desk.world.change(f"UPDATE orders SET failure_kind = '{kind}'")
    assert (await desk.run("premarket_retry")).details["retried"] == 0
    assert await desk.order() == ("failed",)


async def test_a_failed_order_is_not_tried_after_its_last_moment(desk: Desk) -> None:
    await short(desk, "AAA")
    await paid(desk)
    await desk.world.change("UPDATE orders SET retry_until = retry_until - interval '1 day'")
    assert (await desk.run("premarket_retry")).details["retried"] == 0


async def test_a_share_that_is_held_by_now_is_not_bought_again(desk: Desk) -> None:
    await short(desk, "AAA")
    await paid(desk)
    await desk.planned("AAA", intent_key="other", tag="OTHER")
    outcome = await desk.run("premarket_retry")
    assert (outcome.details["placed"], outcome.details["refused"]) == (0, {"already_held": 1})


async def test_a_full_portfolio_takes_no_retry(desk: Desk) -> None:
    await short(desk, "AAA")
    await paid(desk)
    await desk.world.change("UPDATE user_trading_config SET max_portfolio_size = 1")
    await desk.planned("BBB")
    assert (await desk.run("premarket_retry")).details["refused"] == {"MAX_OPEN_POSITIONS": 1}


async def test_a_share_that_is_no_signal_any_more_is_not_bought(desk: Desk) -> None:
    await short(desk, "AAA")
    await paid(desk)
    await analysed(desk.world, [candidate("BBB", 10)])
    outcome = await desk.run("premarket_retry")
    assert outcome.details["refused"] == {"no_longer_wanted": 1}
    assert await desk.order() == ("failed",)
    journal = "SELECT verdict, code FROM decisions WHERE task_name = 'premarket_retry'"
    assert await desk.world.row(journal) == ("refused", "no_longer_wanted")


async def test_only_what_failed_is_bought_however_much_money_there_is(desk: Desk) -> None:
    await short(desk, "AAA")
    await paid(desk)
    await analysed(desk.world, [candidate("AAA", 10), candidate("BBB", 5)])
    await desk.run("premarket_retry")
    assert await desk.world.rows("SELECT DISTINCT symbol FROM orders") == [("AAA",)]


async def test_of_two_failed_decisions_on_a_share_the_newer_one_stands(desk: Desk) -> None:
    await short(desk, "AAA")
    older = await desk.planned(
        "AAA", status="failed", failure_kind="insufficient_funds", intent_key="older", tag="OLDER",
        as_of=desk.opens(EVE), retry_until=desk.closes(DAY), reserved=Decimal(0),
    )  # fmt: skip
    outcome = await desk.run("premarket_retry")
    assert outcome.details["superseded"] == 1
    status, reason = await desk.world.row(f"SELECT status, reason FROM orders WHERE id = {older}")
    assert status == "cancelled"
    assert "a newer decision" in str(reason)


@pytest.mark.parametrize(
    ("statement", "minutes", "reason"),
    [
        ("UPDATE broker_accounts SET status = 'blocked'", -30, "KILL_SWITCH"),
        ("UPDATE service_status SET service_running = false", -30, "KILL_SWITCH"),
        ("SELECT 1", -18, "MARKET_CLOSED"),
    ],
)
async def test_gates_stand_before_a_retry(desk: Desk, statement: str, minutes: float, reason: str) -> None:
    await short(desk, "AAA")
    await paid(desk)
    await desk.world.change(statement)
    await desk.world.set_clock(desk.opens(DAY, minutes))
    outcome = await desk.run("premarket_retry")
    assert outcome.status == "skipped"
    assert str(outcome.reason).startswith(reason)
    assert await desk.order() == ("failed",)


async def test_without_the_last_sessions_analysis_nothing_is_tried(desk: Desk) -> None:
    await short(desk, "AAA")
    await paid(desk)
    await desk.world.change("UPDATE orders SET retry_until = retry_until + interval '5 days'")
    await desk.world.set_clock(desk.opens(NEXT, -30))
    assert "STALE_FEATURES" in str((await desk.run("premarket_retry")).reason)


async def test_what_was_tried_again_is_told_in_one_digest(desk: Desk) -> None:
    await short(desk, "AAA", "BBB")
    await paid(desk)
    await desk.run("premarket_retry")
    told = await desk.world.rows("SELECT title FROM notifications WHERE event = 'retry_queue_retried'")
    assert told == [("2 failed orders tried again",)]


async def test_nothing_is_tried_again_after_the_deadline_by_what_began_before_it(desk: Desk) -> None:
    await short(desk, "AAA")
    await paid(desk)
    now = desk.opens(DAY, -30)
    execution = await desk.world.running("premarket_retry", desk.who, useful_until=now)
    await desk.world.set_clock(now + timedelta(seconds=1))
    outcome = await desk.run_as(execution)
    assert (outcome.status, (outcome.reason or "").startswith("late: ")) == ("skipped", True)
    assert await desk.order() == ("failed",)
