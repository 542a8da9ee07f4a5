"""Starts and stops a user's service, and says what a start would need. Both commit before anybody is told."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from adapters.brokers.registry import VENUES
from db.audit_logs import AuditLogRepository
from db.calendar import CalendarRepository
from db.clock import ClockRepository
from db.configs import UserTradingConfigRepository
from db.halts import HaltRepository
from db.service_looks import Row, ServiceLookRepository
from db.service_status import ServiceBusyError, ServiceStatusRepository, Switched
from db.transaction import Database
from trading.calendar import exchange_day
from trading.config import ConfigError, check_config
from trading.errors import CalendarUncovered
from trading.strategies.registry import strategy_named
from worker.messages import TASKS

# A claim or a change by hand holds an execution for the length of a short transaction.
_TRIES, _PAUSE_SECONDS = 40, 0.1
MOST_SHOWN = 50
# What a person means by the last thing a service did; notices tell of it.
_WORK = tuple(name for name in TASKS if name != "notify")

_BROKER = "broker"


@dataclass(frozen=True, slots=True)
class Missing:
    """What trading needs and is not there. what: a word for programs. said: what is wrong. cure: what to do."""

    what: str
    said: str
    cure: str


@dataclass(frozen=True, slots=True)
class Started:
    """What a start did. switched: None when something was missing, and nothing was changed. notes: as of a View."""

    switched: Switched | None
    missing: Sequence[Missing]
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Stopped:
    """What a stop did, and what goes on: executions that run, orders that are not final."""

    switched: Switched
    running: int
    live_orders: int


@dataclass(frozen=True, slots=True)
class View:
    """Everything about one service. notes: what keeps it from working though nothing of its own is missing."""

    service: Row
    last_execution: Row | None
    in_flight: Sequence[Row]
    live_orders: Sequence[Row]
    missing: Sequence[Missing]
    notes: Sequence[str]


async def start_service(database: Database, user_id: int, by: str) -> Started:
    """Start a service if nothing is missing that trading needs; of one that runs nothing changes. Audited."""
    async with database.transaction(None) as session:
        needed = await missing(session, user_id)
        services = ServiceStatusRepository(session)
        if needed and not (await services.get(user_id)).service_running:
            return Started(None, needed)
        switched = await _audited(session, await services.start(user_id, by), user_id, by)
        return Started(switched, needed, await _notes(session, user_id))


async def stop_service(database: Database, user_id: int, by: str) -> Stopped:
    """Stop a service; of one that is stopped nothing changes. Audited. Raises ServiceBusyError."""
    for _ in range(_TRIES - 1):
        try:
            return await _stop(database, user_id, by)
        except ServiceBusyError:
            await asyncio.sleep(_PAUSE_SECONDS)
    return await _stop(database, user_id, by)


async def _stop(database: Database, user_id: int, by: str) -> Stopped:
    async with database.transaction(None) as session:
        switched = await _audited(session, await ServiceStatusRepository(session).stop(user_id, by), user_id, by)
    async with database.reading(None) as session:
        now = await ServiceLookRepository(session).one(user_id)
    return Stopped(switched, now["running"], now["live_orders"])


async def look_at(session: AsyncSession, user_id: int) -> View:
    """Return everything about one service. Needs the system scope."""
    looks = ServiceLookRepository(session)
    return View(
        await looks.one(user_id),
        await looks.last_execution(user_id, _WORK),
        await looks.in_flight(user_id, MOST_SHOWN),
        await looks.live_orders(user_id, MOST_SHOWN),
        await missing(session, user_id),
        await _notes(session, user_id),
    )


async def missing(session: AsyncSession, user_id: int) -> list[Missing]:
    """Return all that trading needs and a user has not, each with its cure; empty when the service may start."""
    looks = ServiceLookRepository(session)
    return [
        *_of_user(await looks.user(user_id)),
        *await _of_config(session, user_id),
        *_of_accounts(user_id, await looks.accounts(user_id)),
        *await _of_calendar(session),
    ]


async def _audited(session: AsyncSession, switched: Switched, user_id: int, by: str) -> Switched:
    if switched.changed:
        changes: dict[str, Any] = {
            "service_running": [not switched.running, switched.running],
            "generation": [switched.generation - 1, switched.generation],
        }
        if switched.cancelled:
            changes["cancelled"] = switched.cancelled
        action = "start" if switched.running else "stop"
        await AuditLogRepository(session).record(by, action, "service", switched.id, user_id=user_id, changes=changes)
    return switched


def _of_user(user: Row) -> Iterator[Missing]:
    if user["is_deleted"]:
        yield Missing("user", f"{user['email']} was deleted", "start the service of somebody who is there")
    elif not user["is_active"]:
        yield Missing("user", f"{user['email']} is switched off", "switch the user on again first")


async def _of_config(session: AsyncSession, user_id: int) -> list[Missing]:
    try:
        snapshot = await UserTradingConfigRepository(session).get(user_id)
        check_config(snapshot.config)
        strategy_named(snapshot.strategy)
    except ConfigError as error:
        cure = (
            f"`muhurat config set FIELD=VALUE --user {user_id}`, or all of it: `muhurat config reset --user {user_id}`"
        )
        return [Missing("configuration", str(error), cure)]
    except ValueError as error:
        return [Missing("strategy", str(error), "choose one of these")]
    return []


def _of_accounts(user_id: int, accounts: Sequence[Row]) -> Iterator[Missing]:
    active = [one for one in accounts if one["status"] == "active"]
    if not active:
        blocked = ", ".join(str(one["id"]) for one in accounts)
        cure = f"`muhurat accounts unblock ID` of {blocked}" if blocked else "open an account"
        yield Missing("account", "there is no active account", cure)
    for one in active:
        yield from _of_account(user_id, one)


def _of_account(user_id: int, one: Row) -> Iterator[Missing]:
    named = f"account {one['id']} ({one['name']})"
    instead = f"or block it: `muhurat accounts block {one['id']}`"
    if one["venue"] not in VENUES:
        there = ", ".join(sorted(VENUES))
        yield Missing("venue", f"{named} trades at {one['venue']!r}, which is not among {there}", instead[3:])
    if one["mode"] == _BROKER and not one["has_credentials"]:
        yield Missing("credentials", f"{named} has no credentials of its broker", f"store them, {instead}")
    if one["mode"] == _BROKER and not one["has_egress"]:
        said = f"{named} has no address that its broker takes orders from"
        yield Missing("egress", said, f"set the one that is registered there, {instead}")
    if not one["schedules"]:
        cure = f"`muhurat subscriptions subscribe {user_id} NAME --account {one['id']}`, {instead}"
        yield Missing("schedules", f"{named} is subscribed to no schedule that fires", cure)


async def _of_calendar(session: AsyncSession) -> list[Missing]:
    """What is decided today is for the next session: both must be known."""
    now: datetime = (await ClockRepository(session).read()).now
    cure = "`muhurat calendar import FILE`"
    try:
        calendar = await CalendarRepository(session).load()
        calendar.session(exchange_day(now))
        calendar.next_session(exchange_day(now))
    except (CalendarUncovered, LookupError) as error:
        return [Missing("calendar", str(error), cure)]
    return []


async def _notes(session: AsyncSession, user_id: int) -> list[str]:
    processes = await ServiceLookRepository(session).processes()
    halts = await HaltRepository(session).listed(MOST_SHOWN, user_id=user_id)
    return [
        *([] if processes["has_scheduler"] else ["no scheduler runs: nothing fires until one is started"]),
        *([] if processes["has_worker"] else ["no worker runs: nothing is done until one is started"]),
        *(f"halt {one['id']} is in force: {one['reason']} ({one['created_by']}; `muhurat halts`)" for one in halts),
    ]
