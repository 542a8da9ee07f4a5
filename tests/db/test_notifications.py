"""What users are told is told once, read by its user alone, and kept in the transaction of what it tells of."""

from datetime import time

import pytest
from sqlalchemy import text

from db.notifications import Notice, NotificationRepository
from db.preferences import DEFAULT_PREFERENCES, PreferenceError
from db.transaction import Database
from tests.people import Person, person, scalar

TOLD = "SELECT count(*) FROM notifications"
RUNG = "SELECT count(*) FROM service_task_execution WHERE task_name = 'notify' AND account_id IS NULL"


def notice(who: Person, key: str, event: str = "order_placed") -> Notice:
    return Notice(who.user_id, event, "info", f"title {key}", "message", key)


async def tell(database: Database, *notices: Notice) -> None:
    async with database.transaction(None) as session:
        await NotificationRepository(session).tell(notices, 7, "default", 3600)


async def test_one_thing_is_told_once_and_brings_one_delivery(database: Database) -> None:
    asha, bala = await person(database), await person(database, "bala")
    await tell(database, notice(asha, "a"), notice(asha, "b"), notice(bala, "a"))
    await tell(database, notice(asha, "a"), notice(bala, "c"))
    assert await scalar(database, TOLD) == 4
    assert await scalar(database, RUNG) == 4
    found = "SELECT count(*) FROM notifications n JOIN service_task_execution e ON e.subject = n.id::text "
    assert await scalar(database, found + "AND e.user_id = n.user_id AND e.parent_id = 7") == 4


async def test_a_delivery_is_useful_for_an_hour_of_market_time(database: Database) -> None:
    await tell(database, notice(await person(database), "a"))
    hours = "SELECT extract(epoch FROM useful_until - scheduled_for) / 3600 FROM service_task_execution"
    assert await scalar(database, hours) == 1


async def test_a_notice_is_undone_with_the_transaction_of_what_it_tells_of(database: Database) -> None:
    asha = await person(database)
    async with database.transaction(asha.user_id) as session:
        await NotificationRepository(session).tell([notice(asha, "a")], 7, "default", 3600)
        await session.rollback()
    assert (await scalar(database, TOLD), await scalar(database, RUNG)) == (0, 0)


async def test_pages_are_newest_first_and_hold_what_is_ones_own(database: Database) -> None:
    asha, bala = await person(database), await person(database, "bala")
    for key in "abcde":
        await tell(database, notice(asha, key), notice(bala, key))
    async with database.reading(asha.user_id) as session:
        notifications = NotificationRepository(session)
        first = await notifications.page(asha.user_id, 3)
        second = await notifications.page(asha.user_id, 3, before=first[-1].id)
    assert [row.dedupe_key for row in (*first, *second)] == list("edcba")
    assert {row.user_id for row in (*first, *second)} == {asha.user_id}


async def test_reading_marks_what_was_read_and_nothing_that_came_later(database: Database) -> None:
    asha, bala = await person(database), await person(database, "bala")
    for key in "abc":
        await tell(database, notice(asha, key))
    await tell(database, notice(bala, "a"))
    async with database.transaction(asha.user_id) as session:
        notifications = NotificationRepository(session)
        newest, middle, _ = await notifications.page(asha.user_id, 3)
        assert await notifications.mark_read(asha.user_id, [newest.id]) == 1
        assert await notifications.mark_read(asha.user_id, [newest.id]) == 0
        assert await notifications.mark_read(asha.user_id, until=middle.id - 1) == 1
        assert await notifications.unread(asha.user_id) == 1
    assert await scalar(database, "SELECT count(*) FROM notifications WHERE read AND read_at IS NOT NULL") == 2
    assert await scalar(database, f"{TOLD} WHERE user_id = :id AND read", id=bala.user_id) == 0


async def test_a_user_who_said_nothing_has_the_defaults_of_the_columns(database: Database) -> None:
    asha = await person(database)
    async with database.transaction(None) as session:
        assert await NotificationRepository(session).preferences(asha.user_id) == DEFAULT_PREFERENCES
        await session.execute(text("DELETE FROM user_notification_preferences"))
        assert await NotificationRepository(session).preferences(asha.user_id) == DEFAULT_PREFERENCES


async def test_a_changed_preference_is_what_the_next_look_sees_and_is_audited(database: Database) -> None:
    asha = await person(database)
    changes = {
        "quiet_hours_start": "22:00",
        "quiet_hours_end": "07:00",
        "notify_order_placed": False,
        "in_app_enabled": True,
    }
    async with database.transaction(asha.user_id) as session:
        await NotificationRepository(session).change_preferences(asha.user_id, changes, "asha")
    async with database.reading(asha.user_id) as session:
        found = await NotificationRepository(session).preferences(asha.user_id)
    assert (found.quiet_hours_start, found.quiet_hours_end, found.notify_order_placed) == (time(22), time(7), False)
    audited = await scalar(database, "SELECT changes FROM audit_logs WHERE resource_type = 'notification_preferences'")
    assert audited == {
        "quiet_hours_start": [None, "22:00:00"], "quiet_hours_end": [None, "07:00:00"], "notify_order_placed": [True, False],
    }  # fmt: skip


async def test_a_token_is_never_shown(database: Database) -> None:
    asha = await person(database)
    async with database.transaction(asha.user_id) as session:
        made = await NotificationRepository(session).change_preferences(
            asha.user_id, {"telegram_bot_token": "s3cret"}, "asha"
        )
    assert made.telegram_bot_token == "s3cret"
    assert "s3cret" not in repr(made)
    assert "s3cret" not in str(await scalar(database, "SELECT changes FROM audit_logs WHERE action = 'update'"))
    assert "s3cret" not in str(PreferenceError("telegram_bot_token", "s3cret" * 40, "too long"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"notify_everything": True}, "notify_everything = True: no such preference"),
        ({"notify_order_placed": "no"}, "notify_order_placed = 'no': use true or false"),
        ({"quiet_hours_start": "25:00"}, "quiet_hours_start = '25:00': use exchange time"),
        ({"quiet_hours_start": "22:00"}, "quiet hours need both quiet_hours_start and quiet_hours_end"),
        ({"email_address": "a" * 256}, "at most 255 characters"),
    ],
)
async def test_a_preference_that_cannot_be_kept_says_which_and_why(
    database: Database, changes: dict[str, object], said: str
) -> None:
    asha = await person(database)
    async with database.transaction(asha.user_id) as session:
        with pytest.raises(PreferenceError, match=said):
            await NotificationRepository(session).change_preferences(asha.user_id, changes, "asha")
