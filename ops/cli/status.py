"""`muhurat status`: how today goes, on one screen, in under a second; Redis is asked last and may be away."""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import redis.asyncio
import typer
from redis.exceptions import RedisError
from rich.console import Console

from config.servers import hide_password
from db.calendar import CalendarRepository
from db.lookups import LookupRepository
from db.overview import Moment, OverviewRepository
from db.transaction import Database
from ops.cli.reach import with_servers
from ops.cli.tables import age, console, print_json, print_rows, said
from trading.calendar import Calendar, exchange_day, ist
from trading.errors import CalendarUncovered
from worker.bells.keys import ready_key
from worker.messages import QUEUES

REDIS_SECONDS = 0.3
MOST_ACCOUNTS = 20
# A scheduler beats and a worker renews every few seconds; who was silent for longer does not work.
STALE_SECONDS = 30.0

_DAY = timedelta(days=1)


def show_status(user: str | None, *, as_json: bool) -> None:
    """Print the status of everything, or of one user's things."""
    found = with_servers(lambda database, urls: _gather(database, urls.redis, user))
    if as_json:
        print_json(found)
    else:
        _show(found)


async def _gather(database: Database, redis_url: str, user: str | None) -> dict[str, Any]:
    messages = asyncio.create_task(_messages(redis_url))
    async with database.reading(None) as session:
        user_id = await user_named(LookupRepository(session), user) if user else None
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
            "schedulers": await overview.schedulers(),
            "workers": await overview.workers(),
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
    """Return the phase and the session that is or comes; outside the calendar that is what it says."""
    now = moment.market_now
    try:
        upcoming = calendar.current_or_next(now)
        return {
            "phase": calendar.phase(now).value,
            "session_today": calendar.is_session(exchange_day(now)),
            "next_session": {"day": upcoming.day, "opens": upcoming.opens, "closes": upcoming.closes},
            "calendar_until": calendar.last,
        }
    except CalendarUncovered as error:
        return {"phase": "unknown", "session_today": None, "next_session": None, "calendar_until": str(error)}


def _with_age(rows: Any, moment: Moment) -> list[dict[str, Any]]:
    return [{**row, "oldest_seconds": (moment.machine_now - row["oldest_since"]).total_seconds()} for row in rows]


def _show(found: Mapping[str, Any]) -> None:
    out = console()
    _show_market(out, found)
    print_rows("Tasks of the day", found["tasks"], empty="no slot of today has fired")
    if found["waiting"]:
        print_rows("Waiting for", found["waiting"])
    for row in found["queued"]:
        line = f"queue {row['queue']}: {row['executions']} due, the oldest ({row['oldest_id']}) for "
        out.print(line + age(row["oldest_seconds"]), highlight=False)
    _show_orders(out, found["orders"])
    _show_processes(out, found)
    totals = found["totals"]
    title = f"Accounts ({totals['accounts']} of {totals['users']} users, {totals['running']} running)"
    print_rows(title, found["accounts"], empty="none yet: `muhurat users add EMAIL`")
    if totals["accounts"] > len(found["accounts"]):
        out.print(f"{totals['accounts'] - len(found['accounts'])} more: `muhurat accounts`", style="dim")


def _show_market(out: Console, found: Mapping[str, Any]) -> None:
    clock = "replay clock" if found["replay"] else "market"
    line = f"[bold]{clock}[/bold] {said(found['market_now'])} IST, phase [bold]{found['phase']}[/bold]"
    upcoming = found["next_session"]
    if upcoming is None:
        line += f"; [red]{found['calendar_until']}[/red]"
    else:
        line += f"; session {upcoming['day']}, {said(upcoming['opens'])} to {said(upcoming['closes'])[11:]}"
    out.print(line, highlight=False)
    errors = found["unresolved_errors_of_a_day"]
    shown = f"prices whole until {said(found['prices_until'])}; unresolved errors of a day: {errors}"
    out.print(shown, highlight=False, style="yellow" if errors else "")


def _show_orders(out: Console, orders: Mapping[str, Any]) -> None:
    out.print(f"orders: {orders['live']} live, {orders['to_try_again']} to try again", highlight=False)
    for order in orders["unknown"]:
        line = f"order {order['id']} of user {order['user_id']} is UNKNOWN: {order['side']} {order['quantity']} "
        out.print(line + order["symbol"], style="bold red", highlight=False)


def _show_processes(out: Console, found: Mapping[str, Any]) -> None:
    for row in found["schedulers"]:
        late = row["seconds"] > STALE_SECONDS
        line = f"scheduler {row['name']}: seen {age(row['seconds'])} ago"
        out.print(line, style="red" if late else "", highlight=False)
    for row in found["workers"]:
        line = f"worker {row['name']} ({row['queues']}): {row['running']} running, lease {age(row['lease_seconds'])}"
        out.print(line, style="red" if row["lease_seconds"] < 0 else "", highlight=False)
    for kind in ("schedulers", "workers"):
        if not found[kind]:
            out.print(f"no {kind[:-1]} runs: start the processes of the Procfile", style="red", highlight=False)
    ready, away = found["redis"]["ready"], found["redis"]["away"]
    if away:
        out.print(f"Redis: away ({away}); nothing is lost, what is due is rung again", style="red", highlight=False)
    else:
        counts = ", ".join(f"{queue} {count}" for queue, count in ready.items())
        out.print(f"Redis: {counts} messages ready", highlight=False)
