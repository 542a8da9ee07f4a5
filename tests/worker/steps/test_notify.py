"""A notification is delivered once, as its user wants; the row is there whatever is wanted."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy.exc import IntegrityError

from db.executions import Fenced
from db.notifications import Notice
from tests.desk import DAY, Desk
from tests.evenings import candidate, evening
from worker.steps.notices import tell
from worker.steps.notify import notify


async def told(desk: Desk, event: str = "order_placed", level: str = "info") -> int:
    """Tell the user something from a step. Returns the notification's id."""
    await desk.world.set_clock(desk.opens(DAY))
    execution = await desk.world.running("buy_orders", desk.who)
    notice = Notice(desk.who.user_id, event, level, "title", "message", f"{event}:{execution.id}")
    async with desk.world.database.transaction(desk.who.user_id) as session:
        await tell(session, execution, [notice])
    (id_,) = await desk.world.row("SELECT max(id) FROM notifications")
    return int(str(id_))


async def prefer(desk: Desk, changes: str) -> None:
    await desk.world.change(f"UPDATE user_notification_preferences SET {changes}")


async def test_what_a_step_tells_is_queued_for_its_user_and_delivered_in_the_app(desk: Desk) -> None:
    id_ = await told(desk)
    (row,) = await desk.world.queued()
    assert (row.task_name, row.subject, row.user_id, row.account_id) == ("notify", str(id_), desk.who.user_id, None)
    outcome = await notify(desk.world.resources, await desk.world.claim(row))
    assert outcome.details == {"notification": id_, "in_app": "delivered", "telegram": "off", "email": "off"}
    assert await desk.world.row("SELECT in_app_delivered, read FROM notifications") == (True, False)


async def test_delivering_twice_delivers_once(desk: Desk) -> None:
    id_ = await told(desk)
    await desk.run("notify", str(id_))
    assert (await desk.run("notify", str(id_))).details["in_app"] == "delivered before"
    assert await desk.world.row("SELECT count(*) FROM notifications WHERE in_app_delivered") == (1,)


async def test_a_muted_event_is_kept_and_not_shown_as_new(desk: Desk) -> None:
    await prefer(desk, "notify_order_placed = false")
    id_ = await told(desk)
    assert (await desk.run("notify", str(id_))).details["in_app"] == "event switched off"
    assert await desk.world.row("SELECT title, in_app_delivered, read FROM notifications") == ("title", False, False)


async def test_a_change_of_preferences_counts_from_the_next_delivery(desk: Desk) -> None:
    first, second = await told(desk), await told(desk)
    await desk.run("notify", str(first))
    await prefer(desk, "in_app_enabled = false")
    assert (await desk.run("notify", str(second))).details["in_app"] == "off"


async def test_a_channel_that_is_wanted_and_not_there_yet_is_named(desk: Desk) -> None:
    await prefer(desk, "telegram_enabled = true, telegram_chat_id = '1'")
    id_ = await told(desk)
    assert (await desk.run("notify", str(id_))).details["telegram"] == "not available yet"


async def test_quiet_hours_are_judged_by_market_now_and_critical_ignores_them(desk: Desk) -> None:
    await prefer(desk, "telegram_enabled = true, quiet_hours_start = '09:00', quiet_hours_end = '10:00'")
    calm, urgent = await told(desk, "system_error", "error"), await told(desk, "system_error", "critical")
    assert (await desk.run("notify", str(calm))).details["telegram"] == "quiet hours"
    assert (await desk.run("notify", str(urgent))).details["telegram"] == "not available yet"


async def test_a_notification_of_another_user_is_not_there(desk: Desk) -> None:
    id_ = await told(desk)
    bala = await desk.world.sign_up("bala")
    outcome = await notify(desk.world.resources, await desk.world.running("notify", bala, str(id_)))
    assert (outcome.status, outcome.reason) == ("skipped", "the notification is gone")
    assert await desk.world.row("SELECT in_app_delivered FROM notifications") == (False,)


async def test_a_delivery_that_lost_its_execution_changes_nothing(desk: Desk) -> None:
    execution = await desk.world.running("notify", desk.who, str(await told(desk)))
    await desk.world.fence_off(execution)
    with pytest.raises(Fenced):
        await notify(desk.world.resources, execution)
    assert await desk.world.row("SELECT in_app_delivered FROM notifications") == (False,)


@asynccontextmanager
async def undeliverable(desk: Desk) -> AsyncIterator[None]:
    """Let every delivery fail where it writes that it delivered."""
    await desk.world.change("ALTER TABLE notifications ADD CONSTRAINT mute CHECK (NOT in_app_delivered)")
    try:
        yield
    finally:
        await desk.world.change("ALTER TABLE notifications DROP CONSTRAINT mute")


async def test_a_delivery_that_fails_leaves_what_it_was_to_tell_of_as_it_is(desk: Desk) -> None:
    await desk.world.change("UPDATE broker_accounts SET cash = 1000")
    await evening(desk, [candidate("AAA", 20)])
    state = "SELECT o.status, o.failure_kind, n.event, n.in_app_delivered FROM orders o, notifications n"
    told_of = ("failed", "insufficient_funds", "balance_shortfall")
    async with undeliverable(desk):
        assert (await desk.run("buy_orders")).details["failed_balance"] == 1
        (row,) = await desk.world.queued()
        with pytest.raises(IntegrityError, match="mute"):
            await desk.run("notify", row.subject)
        assert await desk.world.row(state) == (*told_of, False)
    await notify(desk.world.resources, await desk.world.claim(row))
    assert await desk.world.row(state) == (*told_of, True)
