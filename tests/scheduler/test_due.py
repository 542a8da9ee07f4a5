"""Firing schedules: one execution per identity, whoever fires and wherever it stops."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from db.bars import BarRepository
from db.firings import FiringRepository
from db.shares import ShareRepository
from db.transaction import Database
from db.users import UserRepository
from scheduler import due as due_module
from scheduler import pieces
from scheduler.due import Due
from scheduler.ringer import Ringer
from scheduler.sweep import Sweep
from tests.people import MORNING, person, queued, replay_from, scalar, set_clock
from tests.scheduler.messages import ready
from tests.scheduler.opened import open_due
from trading.config import DEFAULTS, TradingConfig
from worker.bells.ringing import Bells

BEFORE_OPEN = datetime(2024, 1, 2, 3, 5, tzinfo=UTC)  # 08:35 IST
AFTER_CLOSE = datetime(2024, 1, 2, 10, 5, tzinfo=UTC)  # 15:35 IST


async def test_two_schedulers_make_one_execution_for_each_subscriber(database: Database, bells: Bells) -> None:
    await replay_from(database)
    for number in range(5):
        await person(database, f"user{number}")
    first, second = await open_due(database, bells, "s1"), await open_due(database, bells, "s2")
    await first.plan_new(True)
    await set_clock(database, BEFORE_OPEN)
    fired = await asyncio.gather(first.fire(True), second.fire(True))
    assert sum(fired) == 1
    assert await scalar(database, "SELECT count(*) FROM service_task_execution") == 5
    assert len(await ready(bells, "orders")) == 5


SYNCS = (
    "SELECT count(*) FILTER (WHERE rung_at IS NOT NULL) || ' of ' || count(*) FROM service_task_execution "
    "WHERE task_name = 'order_sync'"
)


async def test_of_a_fan_out_no_more_is_rung_than_each_users_share(database: Database, bells: Bells) -> None:
    await replay_from(database)
    for name in ("asha", "bala"):
        who = await person(database, name)
        async with database.transaction(None) as session:
            for number in range(3):
                await UserRepository(session).add_paper_account(who.user_id, f"account {number}", DEFAULTS, MORNING)
    due = await open_due(database, bells, share=3)
    await due.plan_new(True)
    await set_clock(database, BEFORE_OPEN)
    await due.fire(True)
    assert await scalar(database, SYNCS) == "6 of 8"
    assert len(await ready(bells, "orders")) == 6


async def test_a_fan_out_counts_what_its_users_have_on_redis_already(database: Database, bells: Bells) -> None:
    await replay_from(database)
    asha, _ = await person(database, "asha"), await person(database, "bala")
    for number in range(2):
        await queued(database, "submit", asha, str(number))
    async with database.transaction(None) as session:
        await session.execute(text("UPDATE service_task_execution SET queue = 'orders'"))
    due = await open_due(database, bells, share=2)
    await due.plan_new(True)
    await set_clock(database, BEFORE_OPEN)
    await due.fire(True)
    assert await scalar(database, SYNCS) == "1 of 2"


async def test_whom_somebody_else_counts_is_fanned_out_and_rung_later(database: Database, bells: Bells) -> None:
    await replay_from(database)
    asha, _ = await person(database, "asha"), await person(database, "bala")
    await queued(database, "submit", asha)
    async with database.transaction(None) as session:
        await session.execute(text("UPDATE service_task_execution SET queue = 'orders'"))
    due = await open_due(database, bells)
    await due.plan_new(True)
    await set_clock(database, BEFORE_OPEN)
    async with database.transaction(None) as ledger:
        await ShareRepository(ledger, 8).hold([], written=[asha.user_id])
        await due.fire(True)
    assert await scalar(database, SYNCS) == "1 of 2"
    sweep = Sweep(database, Ringer(bells), lease_seconds=10, every_seconds=0.0, share=8)
    assert await sweep.ring_ready() == 1
    assert await scalar(database, SYNCS) == "2 of 2"


async def test_with_redis_away_slots_are_fanned_out_and_planned_all_the_same(database: Database) -> None:
    await replay_from(database)
    for number in range(5):
        await person(database, f"user{number}")
    bells = Bells("unix:///nowhere/redis.sock")
    due = await open_due(database, bells)
    await due.plan_new(True)
    await set_clock(database, BEFORE_OPEN)
    assert await due.fire(True) == 1
    await bells.close()
    assert await scalar(database, "SELECT count(*) FROM service_task_execution") == 5
    following = await scalar(database, "SELECT next_due_at FROM schedules WHERE name = 'order_sync before open'")
    assert following == BEFORE_OPEN + timedelta(days=1)


async def test_what_waits_was_not_rung(database: Database, bells: Bells) -> None:
    await replay_from(database)
    await person(database)
    due = await open_due(database, bells)
    await due.plan_new(True)
    await set_clock(database, AFTER_CLOSE + timedelta(minutes=30))
    while await due.fire(True):
        pass
    rung = "SELECT count(*) FILTER (WHERE rung_at IS NOT NULL) || ' of ' || count(*) FROM service_task_execution "
    assert await scalar(database, f"{rung} WHERE task_name = 'buy_orders' AND status = 'waiting'") == "0 of 1"


async def test_a_slot_fires_once_and_the_next_is_planned(database: Database, bells: Bells) -> None:
    await replay_from(database)
    await person(database)
    due = await open_due(database, bells)
    await due.plan_new(True)
    await set_clock(database, BEFORE_OPEN)
    assert (await due.fire(True), await due.fire(True)) == (1, 0)
    following = await scalar(database, "SELECT next_due_at FROM schedules WHERE name = 'order_sync before open'")
    assert following == BEFORE_OPEN + timedelta(days=1)


async def _wide(database: Database, bells: Bells, monkeypatch: pytest.MonkeyPatch, users: int = 7) -> tuple[Due, Due]:
    """Return two schedulers that have a wide fan-out before them, of pieces of two subscribers."""
    await replay_from(database)
    for number in range(users):
        await person(database, f"user{number}")
    monkeypatch.setattr(due_module, "FIRST", 2)
    monkeypatch.setattr(pieces, "PIECE", 2)
    first, second = await open_due(database, bells, "s1"), await open_due(database, bells, "s2")
    await first.plan_new(True)
    await set_clock(database, BEFORE_OPEN)
    return first, second


PLANNED = "SELECT next_due_at FROM schedules WHERE name = 'order_sync before open'"
MADE = "SELECT count(*) || ' of ' || count(DISTINCT account_id) FROM service_task_execution"


class Killed(BaseException):
    """A scheduler ends without another word."""


async def test_a_fan_out_goes_on_where_its_dead_scheduler_stopped(
    database: Database, bells: Bells, monkeypatch: pytest.MonkeyPatch
) -> None:
    dying, heir = await _wide(database, bells, monkeypatch)

    async def die(*_: object) -> None:
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FiringRepository, "drop", die)
        with pytest.raises(Killed):
            await dying.fire(True)
    while await heir.fire(True):
        pass
    assert await scalar(database, PLANNED) == BEFORE_OPEN, "the claims of the dead one still stand"
    async with database.transaction(None) as session:
        await session.execute(text("UPDATE schedule_pieces SET claim_until = now() - interval '1 s'"))
    while await heir.fire(True):
        pass
    assert await scalar(database, MADE) == "7 of 7"
    assert await scalar(database, PLANNED) == BEFORE_OPEN + timedelta(days=1)
    assert len(await ready(bells, "orders")) == 7


async def test_nothing_fires_for_a_user_whose_service_is_stopped(database: Database, bells: Bells) -> None:
    await replay_from(database)
    asha = await person(database)
    async with database.transaction(asha.user_id) as session:
        await session.execute(text("UPDATE service_status SET service_running = false"))
    due = await open_due(database, bells)
    await due.plan_new(True)
    await set_clock(database, BEFORE_OPEN)
    await due.fire(True)
    assert await scalar(database, "SELECT count(*) FROM service_task_execution") == 0


async def test_a_condition_that_does_not_hold_makes_no_row(database: Database, bells: Bells) -> None:
    await replay_from(database)
    await person(database)
    due = await open_due(database, bells)
    await due.plan_new(True)
    await set_clock(database, BEFORE_OPEN.replace(hour=3, minute=45))
    while await due.fire(True):
        pass
    assert await scalar(database, "SELECT count(*) FROM service_task_execution WHERE task_name = 'sell_monitor'") == 0


async def test_analysis_is_one_execution_for_each_distinct_parameter_set(database: Database, bells: Bells) -> None:
    await replay_from(database)
    for number, period in enumerate((10, 14, 10, 14, 10)):
        await person(database, f"user{number}", TradingConfig(rsi_period=period))
    due = await open_due(database, bells)
    await due.plan_new(True)
    await set_clock(database, AFTER_CLOSE.replace(minute=45) + timedelta(minutes=15))
    while await due.fire(True):
        pass
    count = "SELECT count(*) FROM service_task_execution WHERE task_name = 'analysis' AND status = 'waiting'"
    assert await scalar(database, count) == 2


async def _missed(database: Database, bells: Bells, until: datetime) -> list[tuple[str, datetime, str, str]]:
    """Plan on the morning, come back at a moment, fire, and return the rows past their use."""
    await replay_from(database)
    await person(database)
    due = await open_due(database, bells)
    await due.plan_new(False)
    await set_clock(database, until)
    while await due.fire(False):
        pass
    query = (
        "SELECT task_name, scheduled_for, status, reason FROM service_task_execution WHERE useful_until < market_now() "
        "AND (status <> 'skipped' OR finished_at IS NOT NULL) ORDER BY scheduled_for, task_name"
    )
    async with database.reading(None) as session:
        return [
            (row.task_name, row.scheduled_for, row.status, row.reason) for row in await session.execute(text(query))
        ]


async def test_a_slot_past_its_use_leaves_a_row_that_says_it_was_missed(database: Database, bells: Bells) -> None:
    late = MORNING + timedelta(days=2)  # 2024-01-04 08:00 IST
    missed = await _missed(database, bells, late)
    assert {(status, reason) for _, _, status, reason in missed} == {
        ("skipped", "missed: no scheduler ran until 2024-01-04 02:30 UTC")
    }
    of = {task: [at for name, at, *_ in missed if name == task] for task, *_ in missed}
    first = datetime(2024, 1, 2, 10, 5, tzinfo=UTC)  # 15:35 IST
    assert of["buy_orders"] == [first + timedelta(minutes=30)], "yesterday's is still of use"
    assert of["analysis"] == [first + timedelta(minutes=25)]
    assert of["eod_cleanup"] == [first + timedelta(hours=2, minutes=25, days=day) for day in (0, 1)]
    behind = "SELECT count(*) FROM schedules WHERE next_due_at <= market_now()"
    assert await scalar(database, behind) == 0
    assert await ready(bells, "orders") == []


async def test_of_a_repeating_schedule_the_newest_missed_slot_is_recorded(database: Database, bells: Bells) -> None:
    missed = await _missed(database, bells, MORNING + timedelta(days=2, minutes=70))  # 09:10 IST
    at_night, before_open = datetime(2024, 1, 3, 17, 55, tzinfo=UTC), datetime(2024, 1, 4, 3, tzinfo=UTC)
    assert [at for task, at, *_ in missed if task == "prices"] == [at_night, before_open]


async def test_of_a_long_absence_the_last_week_is_recorded(database: Database, bells: Bells) -> None:
    missed = await _missed(database, bells, MORNING + timedelta(days=14))
    days = sorted({at.date() for task, at, *_ in missed if task == "eod_cleanup"})
    assert (days[0], days[-1], len(days)) == (
        datetime(2024, 1, 9, tzinfo=UTC).date(),
        datetime(2024, 1, 15, tzinfo=UTC).date(),
        5,
    )
    behind = "SELECT count(*) FROM schedules WHERE next_due_at <= market_now()"
    assert await scalar(database, behind) == 0


_LIVE_ORDER = text(
    "INSERT INTO orders (user_id, account_id, execution_id, symbol, side, order_type, variety, quantity, status, "
    "intent_key, tag, strategy, leg, rank, reference_price, as_of, session_day, config_version) VALUES "
    "(:user_id, :account_id, 1, 'INFY', 'buy', 'market', 'amo', 1, 'parked', 'k', 't', 'dip', 'entry', 1, 1, "
    "now(), '2024-01-03', 1)"
)


@pytest.mark.parametrize(
    "stopping",
    [
        "UPDATE service_status SET service_running = false",
        "UPDATE schedule_subscriptions SET enabled = false",
        "DELETE FROM user_trading_config",
    ],
)
async def test_whatever_stops_live_orders_are_still_looked_after(
    database: Database, bells: Bells, stopping: str
) -> None:
    await replay_from(database)
    asha, _ = await person(database, "asha"), await person(database, "bala")
    async with database.transaction(None) as session:
        await session.execute(text(stopping))
        await session.execute(_LIVE_ORDER, {"user_id": asha.user_id, "account_id": asha.account_id})
    due = await open_due(database, bells)
    await due.plan_new(True)
    await set_clock(database, BEFORE_OPEN)
    await due.fire(True)
    assert await scalar(database, "SELECT array_agg(user_id) FROM service_task_execution") == [asha.user_id]


async def test_a_repeating_schedule_that_fell_behind_fires_its_newest_slot_alone(
    database: Database, bells: Bells
) -> None:
    await replay_from(database)
    await person(database)
    due = await open_due(database, bells)
    await due.plan_new(False)
    await set_clock(database, AFTER_CLOSE + timedelta(minutes=55))
    while await due.fire(False):
        pass
    fired = "SELECT count(*) FROM service_task_execution WHERE task_name = 'prices' AND status = 'queued'"
    assert await scalar(database, fired) == 1


@pytest.mark.parametrize("whole", [True, False])
async def test_prices_that_did_not_come_in_the_evening_are_looked_for_before_the_next_open(
    database: Database, bells: Bells, whole: bool
) -> None:
    await replay_from(database)
    due = await open_due(database, bells)
    await due.plan_new(True)
    at = datetime(2024, 1, 3, 2, 30, tzinfo=UTC)  # 08:00 IST
    async with database.transaction(None) as session:
        await BarRepository(session).store_day(at.date() - timedelta(days=1), 10, 0, whole, "a test")
        await session.execute(
            text("UPDATE schedules SET next_due_at = :at WHERE name = 'prices before open'"), {"at": at}
        )
    await set_clock(database, at)
    await due.fire(True)
    async with database.reading(None) as session:
        made = await session.execute(
            text("SELECT as_of, status FROM service_task_execution WHERE scheduled_for = :at"), {"at": at}
        )
    assert [tuple(row) for row in made] == ([] if whole else [(datetime(2024, 1, 2, 10, tzinfo=UTC), "queued")])


async def test_a_schedule_that_cannot_fire_does_not_stop_the_others(database: Database, bells: Bells) -> None:
    await replay_from(database)
    await person(database)
    due = await open_due(database, bells)
    await due.plan_new(True)
    async with database.transaction(None) as session:
        await session.execute(text("UPDATE schedules SET trigger = 'nonsense' WHERE name = 'buy_orders'"))
        await session.execute(text("UPDATE schedules SET next_due_at = market_now() WHERE name = 'buy_orders'"))
    await set_clock(database, BEFORE_OPEN)
    assert await due.fire(True) == 1
    assert await scalar(database, "SELECT count(*) FROM service_task_execution") == 1
