"""`muhurat status`: how today goes, in well under a second; Redis is asked beside it and may be away.

What it imports is most of what it takes: no row class more than it reads, no numpy, no pydantic, no Dramatiq.
"""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import redis.asyncio
import typer
from redis.exceptions import RedisError

from config.environment import lease_here
from config.servers import hide_password
from db.calendar import CalendarRepository
from db.halts import HaltRepository
from db.lookups import LookupRepository
from db.overview import Moment, OverviewRepository, Rows
from db.transaction import Database
from ops.cli.reach import with_servers
from ops.cli.status_screen import show
from ops.cli.tables import print_json
from trading.calendar import Calendar, exchange_day, ist
from trading.coverage import coverage_warning
from trading.errors import CalendarUncovered
from worker.bells.keys import ready_key
from worker.messages import QUEUES

REDIS_SECONDS = 0.3
MOST_ACCOUNTS, MOST_HALTS, MOST_FAULTS = 20, 20, 20

_DAY = timedelta(days=1)


def show_status(user: str | None, *, as_json: bool) -> None:
    """Print the status of everything, or of one user's things."""
    lease_seconds = lease_here()
    found = with_servers(lambda database, urls: gather(database, urls.redis, user, lease_seconds))
    if as_json:
        print_json(found)
    else:
        show(found)


async def gather(database: Database, redis_url: str, user: str | None, lease_seconds: float) -> dict[str, Any]:
    """Return everything that is shown. lease_seconds: how long a lease is that a worker renews."""
    messages = asyncio.create_task(_messages(redis_url))
    async with database.reading(None) as session:
        user_id = await user_named(LookupRepository(session), user) if user is not None else None
        overview = OverviewRepository(session, user_id)
        moment = await overview.moment()
        calendar = await CalendarRepository(session).load()
        begins = ist(exchange_day(moment.market_now), datetime.min.time())
        live = await overview.live_orders()
        found: dict[str, Any] = {
            "user": user,
            "market_now": moment.market_now,
            "replay": moment.replay,
            **_market(calendar, moment),
            "halts": await HaltRepository(session).listed(MOST_HALTS, user_id=user_id),
            "prices_until": moment.prices_until,
            "unresolved_errors_of_a_day": moment.errors,
            "tasks": await overview.tasks(begins, begins + _DAY),
            "waiting": await overview.waiting(),
            "queued": _with_age(await overview.queued(), moment),
            "orders": {
                "live": len(live),
                "to_try_again": await overview.failed_orders(),
                "unknown": [order for order in live if order["status"] == "unknown"],
            },
            "schedules_at_fault": await overview.faults(MOST_FAULTS),
            "schedulers": await overview.schedulers(),
            "workers": _with_heartbeat(await overview.workers(), lease_seconds),
            "totals": await overview.counts(),
            "accounts": await overview.accounts(MOST_ACCOUNTS),
        }
    return {**found, "redis": await messages}


async def user_named(lookups: LookupRepository, who: str) -> int:
    """Return a user's id. Raises typer.BadParameter when there is none of that name."""
    user_id = await lookups.user_id(who)
    if user_id is None:
        raise typer.BadParameter(f"there is no user {who!r}: give an e-mail or id that `muhurat users` lists")
    return user_id


async def _messages(url: str) -> dict[str, Any]:
    """Return how many messages are ready per queue; an error as text: everything else is known without Redis."""
    client = redis.asyncio.Redis.from_url(url, socket_timeout=REDIS_SECONDS, socket_connect_timeout=REDIS_SECONDS)
    try:
        async with asyncio.timeout(REDIS_SECONDS), client.pipeline(transaction=False) as pipeline:
            for queue in QUEUES:
                pipeline.llen(ready_key(queue))
            return {"ready": dict(zip(QUEUES, await pipeline.execute(), strict=True)), "away": None}
    except (RedisError, OSError, TimeoutError) as error:
        return {"ready": None, "away": hide_password(str(error) or "no answer")}
    finally:
        await client.aclose()


def _market(calendar: Calendar, moment: Moment) -> dict[str, Any]:
    """Return the phase and the session that is or comes; outside the calendar, what it says instead."""
    now = moment.market_now
    try:
        upcoming = calendar.current_or_next(now)
        found: dict[str, Any] = {
            "phase": calendar.phase(now).value,
            "session_today": calendar.is_session(exchange_day(now)),
            "next_session": {"day": upcoming.day, "opens": upcoming.opens, "closes": upcoming.closes},
        }
        uncovered = None
    except CalendarUncovered as error:
        found, uncovered = {"phase": "unknown", "session_today": None, "next_session": None}, str(error)
    said = {"calendar_until": calendar.last, "calendar_error": uncovered}
    return {**found, **said, "calendar_warning": coverage_warning(calendar, now)}


def _with_age(rows: Rows, moment: Moment) -> list[dict[str, Any]]:
    """What was rung after our transaction began is not older than nothing."""
    return [
        {**row, "oldest_seconds": max((moment.machine_now - row["oldest_since"]).total_seconds(), 0.0)} for row in rows
    ]


def _with_heartbeat(rows: Rows, lease_seconds: float) -> list[dict[str, Any]]:
    """Add how long ago each worker renewed its lease; of one that was seen to end, how long ago that was."""
    return [{**row, "seen_seconds": _seen(row["gone_seconds"], row["lease_seconds"], lease_seconds)} for row in rows]


def _seen(gone: float | None, left: float, lease_seconds: float) -> float:
    return gone if gone is not None else max(lease_seconds - left, 0.0)
