"""What the halt commands do: a halt is in force first of all, and then what it cannot stop is shown."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import typer
from rich.console import Console
from sqlalchemy.ext.asyncio import AsyncSession

from db.audit_logs import AuditLogRepository
from db.calendar import CalendarRepository
from db.cancels import CANCELLABLE, CancelRepository
from db.claims import LedgerRepository
from db.clock import ClockRepository
from db.halts import HaltFacts, HaltRepository, halt_of
from db.lookups import LookupRepository
from db.orders import OrderRepository
from db.transaction import Database
from ops.cli.options import known_word
from ops.cli.queue_options import moment
from ops.cli.reach import changing, operator_named, reading, with_database
from ops.cli.status import user_named
from ops.cli.tables import age, console, print_json, print_rows, said
from trading.calendar import Calendar, exchange_time
from trading.halts import Halt, Scope, Stops, stopped
from trading.strategies.registry import STRATEGIES
from trading.values import Side, parse_symbol
from worker.messages import TASKS
from worker.steps.order_life import submit_of, want

MOST_TOLD = 50
# Orders that one transaction cancels: so many accounts are held for a moment.
BATCH = 200
_END = {"cancel": True}
_LONGEST_REASON = 512  # as the column keeps


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person asked to be stopped. user: by e-mail or id. flags: by the names of `Stops`."""

    user: str | None
    account: int | None
    task: str | None
    strategy: str | None
    symbol: str | None
    everywhere: bool
    flags: Mapping[str, bool]
    everything: bool
    reason: str
    until: str | None
    cancel_live: bool


def put_in_force(asked: Asked, as_: str | None, *, as_json: bool) -> None:
    """Halt, tell what brokers have of it, and cancel that if it is wished."""
    by, stops = operator_named(as_), _stops(asked)
    _check(asked)
    asks = not as_json and not asked.cancel_live and sys.stdin.isatty()

    async def work(database: Database) -> dict[str, Any]:
        async with database.reading(None) as session:
            halt = await _halt(session, asked, stops, by)
        # In a moment, unless a worker stands still in the middle of an effect: it is cut once its lease is over.
        with Console(stderr=True).status("Waiting for what is being planned or sent at this moment"):
            row, is_new = await _add(database, halt, by)
        live = await _live(database, halt)
        if not as_json:
            _tell(row, live, is_new=is_new)
        ids = [order["id"] for order in live if order["status"] in CANCELLABLE and not order["is_ending"]]
        wished = asked.cancel_live or (asks and bool(ids) and _confirmed(len(ids)))
        cancelled = await _cancel(database, ids, by, {"halt": row["id"]}) if wished else 0
        return {
            "halt": _plain(row),
            "is_new": is_new,
            "live": len(live),
            "orders": live[:MOST_TOLD],
            "cancelled": cancelled,
        }

    found = with_database(work)
    if as_json:
        print_json(found)
    elif found["cancelled"]:
        typer.echo(f"{found['cancelled']:,} orders are being cancelled: `muhurat orders` shows how it goes")


def resume_halts(ids: Sequence[int], as_: str | None, *, everything: bool, as_json: bool) -> None:
    """End halts by their ids, or all."""
    if bool(ids) == everything:
        raise typer.BadParameter("name halts as `muhurat halts` lists them, or give --all: one of the two")

    async def end(session: AsyncSession, by: str) -> dict[str, Any]:
        halts = HaltRepository(session)
        there = {row["id"] for row in await halts.by_ids(ids)}
        if missing := sorted(set(ids) - there):
            raise typer.BadParameter(f"there is no halt {missing[0]}: see `muhurat halts`")
        ended = await halts.end(None if everything else ids, by)
        for row in ended:
            changes = {**halt_of(row).facts(), "ended_by": [None, by]}
            await AuditLogRepository(session).record(
                by, "resume", "halt", row["id"], user_id=row["user_id"], changes=changes
            )
        done = [row["id"] for row in ended]
        return {"resumed": done, "ended_before": sorted(set(ids) - set(done))}

    found = changing(as_, end)
    if as_json:
        print_json(found)
        return
    for id_ in found["resumed"]:
        typer.echo(f"halt {id_} is over: what waited for it is rung while it is useful")
    for id_ in found["ended_before"]:
        typer.echo(f"halt {id_} was over already")
    if not found["resumed"] and everything:
        typer.echo("nothing was halted")


def print_halts(user: str | None, limit: int, *, ended: bool, as_json: bool) -> None:
    """Print halts, of all or of those that concern one user."""

    async def look(session: AsyncSession) -> list[HaltFacts]:
        user_id = await user_named(LookupRepository(session), user) if user is not None else None
        return await HaltRepository(session).listed(limit, ended=ended, user_id=user_id)

    rows = reading(look)
    if as_json:
        print_json({"halts": [_plain(row) for row in rows]})
        return
    shown = [
        {
            "halt": row["id"],
            "stops": ", ".join(_named(row)),
            "of": str(halt_of(row).scope),
            "reason": row["reason"],
            "by": row["created_by"],
            "since": age(row["age_seconds"]),
            "until": row["until"],
            "ended": row["ended_at"],
            "ended_by": row["ended_by"],
        }
        for row in rows
    ]
    print_rows("Halts (times in IST)", shown, empty="nothing has been halted" if ended else "nothing is halted")


def _stops(asked: Asked) -> frozenset[Stops]:
    """Return what shall be stopped. Raises typer.BadParameter for tasks of one share: none is of one."""
    if asked.everything:
        return frozenset(Stops) - ({Stops.TASKS} if asked.symbol else frozenset())
    if asked.symbol and asked.flags["tasks"]:
        raise typer.BadParameter("--tasks with --symbol: no task is of one share; use --entries, --exits or --changes")
    return stopped(asked.flags) or frozenset({Stops.ENTRIES})


def _check(asked: Asked) -> None:
    scoped = any(one is not None for one in (asked.user, asked.account, asked.task, asked.strategy, asked.symbol))
    if scoped == asked.everywhere:
        every = "--everywhere is said with a scope" if scoped else "nobody is named"
        raise typer.BadParameter(
            f"{every}: give --user, --account, --task, --strategy or --symbol; or --everywhere alone"
        )
    if not asked.reason.strip() or len(asked.reason) > _LONGEST_REASON:
        raise typer.BadParameter(f"--reason: say why, in 1 to {_LONGEST_REASON} letters, like 'results tonight'")
    known_word("--task", asked.task, sorted(TASKS))
    known_word("--strategy", asked.strategy, sorted(STRATEGIES))


async def _halt(session: AsyncSession, asked: Asked, stops: frozenset[Stops], by: str) -> Halt:
    lookups = LookupRepository(session)
    user_id = await user_named(lookups, asked.user) if asked.user is not None else None
    if asked.account is not None:
        owner = await HaltRepository(session).owner(asked.account)
        if owner is None or user_id not in (None, owner):
            of = "" if owner is None else f" of {asked.user}"
            raise typer.BadParameter(f"--account {asked.account}: there is no such account{of}: see `muhurat accounts`")
        user_id = owner
    try:
        symbol = None if asked.symbol is None else str(parse_symbol(asked.symbol))
    except ValueError as error:
        raise typer.BadParameter(f"--symbol: {error}") from error
    until = _until(asked.until, (await ClockRepository(session).read()).now)
    scope = Scope(user_id, asked.account, asked.task, asked.strategy, symbol)
    return Halt(0, scope, stops, asked.reason.strip(), by, until)


def _until(words: str | None, now: datetime) -> datetime | None:
    at = moment("--until", words, exchange_time(now))
    if at is not None and at <= now:
        raise typer.BadParameter(
            f'--until {words}: {said(at)} IST is past; give a time to come like "2026-11-27 09:10"'
        )
    return at


async def _add(database: Database, halt: Halt, by: str) -> tuple[HaltFacts, bool]:
    async with database.transaction(None) as session:
        row, is_new = await HaltRepository(session).add(halt)
        if is_new:
            audit, changes = AuditLogRepository(session), halt_of(row).facts()
            await audit.record(by, "halt", "halt", row["id"], user_id=row["user_id"], changes=changes)
    return row, is_new


async def _live(database: Database, halt: Halt) -> list[Mapping[str, Any]]:
    """Return what brokers have, or may have, of what is halted."""
    sides = {Side.BUY.value} if halt.stops & {Stops.ENTRIES, Stops.TASKS} else set()
    sides |= {Side.SELL.value} if halt.stops & {Stops.EXITS, Stops.TASKS} else set()
    async with database.reading(None) as session:
        return await CancelRepository(session).live(halt.scope, sides) if sides else []


def _confirmed(count: int) -> bool:
    """Ask; the halt is in force whatever the answer is."""
    return typer.confirm(f"Cancel {count:,} of them at their brokers?", err=True)


async def _cancel(database: Database, ids: Sequence[int], by: str, facts: Mapping[str, Any]) -> int:
    """Ask for the end of orders, so many a transaction. Returns how many were asked for."""
    count = 0
    with Console(stderr=True).status("") as screen:
        for first in range(0, len(ids), BATCH):
            async with database.transaction(None) as session:
                count += await _cancel_some(session, ids[first : first + BATCH], by, facts)
            screen.update(f"{first + BATCH:,} of {len(ids):,} orders")
    return count


async def _cancel_some(session: AsyncSession, ids: Sequence[int], by: str, facts: Mapping[str, Any]) -> int:
    cancels, calendar = CancelRepository(session), await _calendar(session)
    now = (await ClockRepository(session).read()).now
    asked = []
    for order in await cancels.lock(ids):
        change = order.change or {}
        if change.get("cancel") and change.get("accepted") is not False:
            continue  # somebody asked while this was read
        want(OrderRepository(session, order.user_id, order.account_id), order, _END, now)
        asked.append((order, submit_of(calendar, order, now)))
    if asked:
        await session.flush()
        await cancels.record(asked, now, by, facts)
        await LedgerRepository(session).notify()
    return len(asked)


async def _calendar(session: AsyncSession) -> Calendar:
    return await CalendarRepository(session).load()


def _tell(row: HaltFacts, live: Sequence[Mapping[str, Any]], *, is_new: bool) -> None:
    out, until = console(), f" until {said(row['until'])} IST" if row["until"] else ""
    there = "" if is_new else "it is there already: "
    out.print(f"{there}HALTED {halt_of(row).named}{until}", style="bold red", highlight=False, markup=False)
    if not live:
        out.print("no broker has a live order of it", highlight=False)
        return
    print_rows(f"Live at brokers, and not stopped by it ({len(live):,})", live[:MOST_TOLD])
    if any(order["status"] in CANCELLABLE and not order["is_ending"] for order in live):
        out.print("they may still be filled: --cancel-live cancels them", style="yellow", highlight=False)


def _named(row: HaltFacts) -> list[str]:
    return [what.value for what in Stops if row[what.value]]


def _plain(row: HaltFacts) -> dict[str, Any]:
    """Return a halt as programs read it."""
    return {**row, "stops": _named(row), "scope": halt_of(row).scope.to_json()}
