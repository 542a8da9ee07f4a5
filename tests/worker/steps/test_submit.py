"""Sending an order: once, in its time, and never twice after a crash."""

import asyncio
from datetime import timedelta

import pytest

from adapters.brokers.base import NotSent, PlaceOutcome, Refused, Unknown
from db.executions import Fenced
from tests.desk import DAY, EVE, NEXT, Desk, killed
from trading.orders import FailureKind
from worker.outcome import Retry


async def test_a_planned_order_is_placed_and_a_sync_follows(desk: Desk) -> None:
    now = desk.closes(EVE, 35)
    await desk.world.set_clock(now)
    id_ = await desk.planned()
    outcome = await desk.run("submit", f"{id_}:1")
    assert outcome.details == {"order": id_, "state": "acked"}
    assert await desk.order("status, broker_order_id, placed_at") == ("acked", "PTAGAAA", now)
    assert await desk.follow_ups() == [("order_sync", "", now + timedelta(seconds=3))]
    assert await desk.world.rows("SELECT event, to_status FROM order_events ORDER BY id") == [
        ("planned", "planned"),
        ("send", "sending"),
        ("accept", "acked"),
    ]


async def test_submitting_again_changes_nothing(desk: Desk) -> None:
    await desk.world.set_clock(desk.closes(EVE, 35))
    id_ = await desk.planned()
    await desk.run("submit", f"{id_}:1")
    outcome = await desk.run("submit", f"{id_}:1")
    assert (outcome.status, outcome.reason) == ("skipped", "the order is acked")
    assert await desk.world.rows("SELECT word FROM paper_orders") == [("parked",)]
    assert len(await desk.follow_ups()) == 1


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_worker_killed_around_the_call_leaves_an_order_to_look_for(desk: Desk, when: str) -> None:
    await desk.world.set_clock(desk.closes(EVE, 35))
    id_ = await desk.planned()
    execution = await desk.world.running("submit", desk.who, f"{id_}:1")
    with pytest.raises(asyncio.CancelledError):
        await desk.run_as(execution, killed if when == "before" else None, killed)
    assert await desk.order() == ("sending",)
    again = await desk.world.fence_off(execution)
    assert (await desk.run_as(again)).details == {"order": id_, "state": "unknown"}
    assert [task for task, _, _ in await desk.follow_ups()] == ["reconcile"]
    assert len(await desk.world.rows("SELECT 1 FROM paper_orders")) == (when == "after")


async def test_a_worker_that_wakes_late_finds_itself_fenced(desk: Desk) -> None:
    await desk.world.set_clock(desk.closes(EVE, 35))
    id_ = await desk.planned()
    execution = await desk.world.running("submit", desk.who, f"{id_}:1")
    await desk.world.fence_off(execution)
    with pytest.raises(Fenced):
        await desk.run_as(execution)
    assert await desk.order() == ("planned",)


async def test_what_was_provably_not_sent_is_tried_again_under_the_same_attempt(desk: Desk) -> None:
    async def offline() -> PlaceOutcome:
        return NotSent("no route to the broker")

    await desk.world.set_clock(desk.closes(EVE, 35))
    id_ = await desk.planned()
    execution = await desk.world.running("submit", desk.who, f"{id_}:1")
    with pytest.raises(Retry, match="no route"):
        await desk.run_as(execution, before=offline)
    assert await desk.order("status, attempt") == ("planned", 1)
    assert (await desk.run_as(execution)).details["state"] == "acked"


async def test_a_refusal_ends_the_order_and_frees_its_money(desk: Desk) -> None:
    async def refused() -> PlaceOutcome:
        return Refused("margin blocked")

    await desk.world.set_clock(desk.closes(EVE, 35))
    id_ = await desk.planned()
    await desk.run("submit", f"{id_}:1", before=refused)
    status, reason, reserved, closed_at = await desk.order("status, reason, reserved, closed_at")
    assert (status, reason, closed_at) == ("rejected", "margin blocked", desk.closes(EVE, 35))
    assert reserved == 0
    assert await desk.follow_ups() == []


async def test_an_unclear_answer_is_looked_into(desk: Desk) -> None:
    async def silence() -> PlaceOutcome:
        return Unknown("timed out")

    await desk.world.set_clock(desk.closes(EVE, 35))
    id_ = await desk.planned()
    await desk.run("submit", f"{id_}:1", after=silence)
    assert await desk.order() == ("unknown",)
    assert await desk.follow_ups() == [("reconcile", f"{id_}:1", desk.closes(EVE, 35))]


async def test_a_blocked_account_sends_nothing(desk: Desk) -> None:
    await desk.world.set_clock(desk.closes(EVE, 35))
    id_ = await desk.planned()
    await desk.world.change("UPDATE broker_accounts SET status = 'blocked'")
    assert (await desk.run("submit", f"{id_}:1")).details["code"] == "KILL_SWITCH"
    assert await desk.order("status, reason, reserved") == ("denied", "KILL_SWITCH", 0)
    assert await desk.world.rows("SELECT 1 FROM paper_orders") == []


@pytest.mark.parametrize(("minutes", "state"), [(-19, "acked"), (-18, "denied"), (0, "denied"), (60, "denied")])
async def test_an_after_market_order_is_sent_until_its_entry_ends(desk: Desk, minutes: int, state: str) -> None:
    await desk.world.set_clock(desk.opens(DAY, minutes))
    id_ = await desk.planned()
    await desk.run("submit", f"{id_}:1")
    assert await desk.order() == (state,)


@pytest.mark.parametrize(("minutes", "state"), [(-1, "denied"), (0, "acked"), (374, "acked"), (375, "denied")])
async def test_a_regular_order_is_sent_while_its_session_is_open(desk: Desk, minutes: int, state: str) -> None:
    await desk.held()
    await desk.world.set_clock(desk.opens(NEXT, minutes))
    id_ = await desk.offered("118.00")
    await desk.run("submit", f"{id_}:1")
    assert await desk.world.row(f"SELECT status FROM orders WHERE id = {id_}") == (state,)


async def test_an_older_attempt_does_nothing(desk: Desk) -> None:
    await desk.world.set_clock(desk.closes(EVE, 35))
    id_ = await desk.planned(attempt=2)
    outcome = await desk.run("submit", f"{id_}:1")
    assert (outcome.status, outcome.reason) == ("skipped", "attempt 1 was followed by 2")
    assert await desk.order() == ("planned",)


async def test_a_sync_that_is_due_already_absorbs_the_next(desk: Desk) -> None:
    await desk.world.set_clock(desk.closes(EVE, 35))
    first, second = await desk.planned("AAA"), await desk.planned("BBB")
    await desk.run("submit", f"{first}:1")
    await desk.run("submit", f"{second}:1")
    assert [task for task, _, _ in await desk.follow_ups()] == ["order_sync"]


async def test_a_change_that_may_not_have_arrived_is_asked_again(desk: Desk) -> None:
    await desk.held()
    await desk.world.set_clock(desk.opens(NEXT))
    id_ = await desk.offered("130.00")
    await desk.run("submit", f"{id_}:1")
    await desk.world.change(f"UPDATE orders SET change = '{{\"limit_price\": null}}', attempt = 2 WHERE id = {id_}")
    await desk.world.set_clock(desk.closes(NEXT, -5))
    execution = await desk.world.running("submit", desk.who, f"{id_}:2")

    async def silence() -> PlaceOutcome:
        return Unknown("timed out")

    with pytest.raises(Retry, match="has no answer: timed out"):
        await desk.run_as(execution, after=silence)
    assert (await desk.run_as(execution)).details == {"order": id_, "change": "accepted"}
    assert await desk.world.rows("SELECT word, fill_price FROM paper_orders WHERE tag = 'SELLAAA'") == [
        ("complete", 115)
    ]


async def test_an_error_of_the_broker_is_no_answer_and_is_looked_into(desk: Desk) -> None:
    async def broken() -> PlaceOutcome:
        raise RuntimeError("no such column")

    await desk.world.set_clock(desk.closes(EVE, 35))
    id_ = await desk.planned()
    assert (await desk.run("submit", f"{id_}:1", after=broken)).details == {"order": id_, "state": "unknown"}
    assert await desk.follow_ups() == [("reconcile", f"{id_}:1", desk.closes(EVE, 35))]
    facts = await desk.world.row("SELECT facts ->> 'reason' FROM order_events WHERE event = 'lose_sight'")
    assert facts == ("RuntimeError: no such column",)


async def test_a_change_that_raised_is_asked_again(desk: Desk) -> None:
    async def broken() -> PlaceOutcome:
        raise RuntimeError("no such column")

    await desk.held()
    await desk.world.set_clock(desk.opens(NEXT))
    id_ = await desk.offered("130.00")
    await desk.run("submit", f"{id_}:1")
    await desk.world.change(f"UPDATE orders SET change = '{{\"limit_price\": null}}', attempt = 2 WHERE id = {id_}")
    execution = await desk.world.running("submit", desk.who, f"{id_}:2")
    with pytest.raises(Retry, match="has no answer: RuntimeError"):
        await desk.run_as(execution, before=broken)
    assert (await desk.run_as(execution)).details == {"order": id_, "change": "accepted"}


async def test_an_answer_that_comes_after_the_next_attempt_began_changes_nothing(desk: Desk) -> None:
    await desk.world.set_clock(desk.closes(EVE, 35))
    id_ = await desk.planned()

    async def overtaken() -> PlaceOutcome:
        await desk.world.change("UPDATE orders SET status = 'planned', attempt = 2")
        return Refused("margin blocked")

    assert (await desk.run("submit", f"{id_}:1", before=overtaken)).status == "success"
    assert await desk.order("status, attempt") == ("planned", 2)
    events = await desk.world.rows("SELECT event FROM order_events ORDER BY id")
    assert events[-1] == ("late_answer",)


async def test_a_stopped_service_sends_no_purchase(desk: Desk) -> None:
    await desk.world.set_clock(desk.closes(EVE, 35))
    id_ = await desk.planned()
    await desk.world.change("UPDATE service_status SET service_running = false")
    assert (await desk.run("submit", f"{id_}:1")).details["code"] == "KILL_SWITCH"
    assert await desk.order("status, reason, reserved") == ("denied", "KILL_SWITCH", 0)
    assert await desk.world.rows("SELECT 1 FROM paper_orders") == []


async def test_a_stopped_service_still_sells(desk: Desk) -> None:
    await desk.held()
    await desk.world.change("UPDATE service_status SET service_running = false")
    await desk.world.set_clock(desk.opens(NEXT))
    id_ = await desk.offered("130.00")
    assert (await desk.run("submit", f"{id_}:1")).details["state"] == "acked"


async def test_a_purchase_refused_for_want_of_money_waits_until_the_next_sessions_close(desk: Desk) -> None:
    async def refused() -> PlaceOutcome:
        return Refused("margin shortfall", FailureKind.INSUFFICIENT_FUNDS)

    now = desk.closes(EVE, 35)
    await desk.world.set_clock(now)
    id_ = await desk.planned()
    await desk.run("submit", f"{id_}:1", before=refused)
    columns = "status, failure_kind, first_failed_at, retry_until, reserved, closed_at"
    assert await desk.order(columns) == ("failed", "insufficient_funds", now, desk.closes(DAY), 0, None)
    assert await desk.world.row("SELECT event FROM notifications") == ("retry_queue_added",)


async def test_a_sale_refused_for_want_of_money_is_final(desk: Desk) -> None:
    async def refused() -> PlaceOutcome:
        return Refused("margin shortfall", FailureKind.INSUFFICIENT_FUNDS)

    await desk.held()
    await desk.world.set_clock(desk.opens(NEXT))
    id_ = await desk.offered("118.00")
    await desk.run("submit", f"{id_}:1", before=refused)
    assert await desk.world.row(f"SELECT status, retry_until FROM orders WHERE id = {id_}") == ("rejected", None)


async def reentry(desk: Desk) -> int:
    """Plan a re-entry into what is held, for NEXT. Returns its id."""
    await desk.held()
    await desk.world.set_clock(desk.closes(DAY, 35))
    (position,) = await desk.world.row("SELECT id FROM positions")
    return await desk.planned(
        entry_type="reentry", position_id=position, session_day=NEXT, leg="reentry-0-20", tag="MORE", intent_key="more"
    )


async def test_a_reentry_whose_position_has_closed_is_never_sent(desk: Desk) -> None:
    id_ = await reentry(desk)
    await desk.world.change("UPDATE positions SET quantity = 0, closed_at = now()")
    assert (await desk.run("submit", f"{id_}:1")).details["code"] == "POSITION_CLOSED"
    assert await desk.world.rows("SELECT 1 FROM paper_orders WHERE tag = 'MORE'") == []


async def test_a_reentry_into_an_open_position_is_sent(desk: Desk) -> None:
    id_ = await reentry(desk)
    assert (await desk.run("submit", f"{id_}:1")).details["state"] == "acked"


async def wished_away(desk: Desk) -> int:
    """Let a parked purchase be wished away. Returns its id."""
    id_ = await desk.sent()
    await desk.world.change("UPDATE orders SET change = '{\"cancel\": true}', attempt = 2")
    return id_


async def test_a_cancel_ends_an_order_at_the_broker(desk: Desk) -> None:
    id_ = await wished_away(desk)
    assert (await desk.run("submit", f"{id_}:2")).details == {"order": id_, "change": "accepted"}
    assert await desk.order() == ("cancelling",)
    await desk.run("order_sync")
    assert await desk.order("status, reserved") == ("cancelled", 0)


async def test_a_cancel_passes_while_the_account_is_blocked(desk: Desk) -> None:
    id_ = await wished_away(desk)
    await desk.world.change("UPDATE broker_accounts SET status = 'blocked'")
    assert (await desk.run("submit", f"{id_}:2")).details["change"] == "accepted"


async def test_a_cancel_without_an_answer_is_asked_again(desk: Desk) -> None:
    id_ = await wished_away(desk)
    execution = await desk.world.running("submit", desk.who, f"{id_}:2")

    async def silence() -> PlaceOutcome:
        return Unknown("timed out")

    with pytest.raises(Retry, match="timed out"):
        await desk.run_as(execution, after=silence)
    assert (await desk.run_as(execution)).details["change"] == "accepted"


async def test_a_user_hears_of_a_purchase_that_was_placed_and_not_of_the_daily_exit(desk: Desk) -> None:
    await desk.held()
    await desk.world.set_clock(desk.opens(NEXT))
    id_ = await desk.offered("130.00")
    await desk.run("submit", f"{id_}:1")
    placed = "SELECT dedupe_key FROM notifications WHERE event = 'order_placed'"
    (bought,) = await desk.world.row("SELECT id FROM orders WHERE side = 'buy'")
    assert await desk.world.rows(placed) == [(f"order:{bought}:acked",)]
