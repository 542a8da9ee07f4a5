"""Calls of what people change and ask of schedules and subscriptions, for the looks at plans of `plan_cases.py`."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from db.manual_runs import ManualRunRepository, Run
from db.own_times import OwnTimeRepository
from db.schedule_edits import ScheduleEditRepository
from db.schedule_looks import ScheduleLookRepository
from db.subscriptions import Part, SubscriptionRepository
from tests.db.filled import SLOT

Call = Callable[[AsyncSession], Awaitable[object]]

_USER, _SYNC = 25, "order_sync before open"
_DAY = timedelta(days=1)
_AT = datetime(2024, 1, 9, 11, tzinfo=UTC)


async def _part(session: AsyncSession, name: str = _SYNC) -> Part:
    query = text("SELECT id FROM schedules WHERE name = :name")
    return Part(_USER, (await session.execute(query, {"name": name})).scalar_one())


async def _choose(session: AsyncSession) -> None:
    edits = ScheduleEditRepository(session)
    ground, base = await edits.ground(), await edits.hold("buy_orders")
    assert base is not None
    await OwnTimeRepository(session).choose(ground, base, _USER, "at 16:30", "asha")


async def _resumable(session: AsyncSession) -> None:
    edits = ScheduleEditRepository(session)
    ground, base = await edits.ground(), await edits.hold("buy_orders")
    assert base is not None
    await OwnTimeRepository(session).resumable(ground, base, Part(_USER, base.id))


async def _loads(session: AsyncSession) -> None:
    """Count under each condition that is a statement of its own."""
    looks = ScheduleLookRepository(session)
    for row in await looks.all():
        await looks.loads(row, SLOT, SLOT + _DAY)


async def _make(session: AsyncSession) -> None:
    part = await _part(session)
    run = Run(part.base_id, "order_sync", "orders", SLOT, SLOT, _AT, None, "manual:1", SLOT - _DAY)
    for scope in ("account", "parameters", "shared"):
        await ManualRunRepository(session).make(run, scope, 0, 20, _USER)
    await ManualRunRepository(session).make(run, "account", 0, 20)


async def _enroll(session: AsyncSession) -> None:
    await SubscriptionRepository(session).enroll(await _part(session))


async def _withdraw(session: AsyncSession) -> None:
    await SubscriptionRepository(session).withdraw(await _part(session))


async def _pause(session: AsyncSession) -> None:
    await SubscriptionRepository(session).pause(await _part(session), _AT, "asha", "away")


OF_SCHEDULES_OF_A_USER: dict[str, Call] = {
    "SubscriptionRepository.of_user": lambda s: SubscriptionRepository(s).of_user(_USER),
    "ScheduleLookRepository.live_accounts": lambda s: ScheduleLookRepository(s).live_accounts(_USER),
    "ScheduleLookRepository.halts": lambda s: ScheduleLookRepository(s).halts(_USER),
}
OF_SCHEDULES: dict[str, Call] = {
    "ManualRunRepository.make": _make,
    "OwnTimeRepository.choose": _choose,
    "OwnTimeRepository.hold_back": lambda s: OwnTimeRepository(s).hold_back([7], _AT, "asha", "had"),
    "OwnTimeRepository.resumable": _resumable,
    "SubscriptionRepository.enroll": _enroll,
    "SubscriptionRepository.last_account": lambda s: SubscriptionRepository(s).last_account(),
    "SubscriptionRepository.pause": _pause,
    "SubscriptionRepository.resume": lambda s: SubscriptionRepository(s).resume([7]),
    "SubscriptionRepository.subscribe_everyone": lambda s: SubscriptionRepository(s).subscribe_everyone(1, 0, 50),
    "SubscriptionRepository.withdraw": _withdraw,
}
SMALL_OF_SCHEDULES: dict[str, str] = {
    "ManualRunRepository.number": "draws from a sequence",
    "ScheduleEditRepository": "a row a schedule and version",
    "ScheduleLookRepository.all": "a row a schedule",
    "ScheduleLookRepository.daily_bars": "one row",
    "ScheduleLookRepository.named": "a row a schedule",
}
WHOLE_OF_SCHEDULES: dict[str, str] = {
    "ScheduleLookRepository.counts": "every subscription is counted, for an operator who lists schedules",
    "ScheduleLookRepository.loads": "every subscriber of a schedule is counted, for a simulation: one count a schedule",
    "ScheduleLookRepository.subscribers": "every subscriber of a schedule is counted, for an operator who looks at it",
}
