"""What the commands do that change schedules: one transaction each, and a sentence about what it means for today."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import typer
from rich.console import Console
from sqlalchemy.ext.asyncio import AsyncSession

from db.schedule_edits import Edited, FiringError, ScheduleEditRepository
from db.schedule_looks import ScheduleLookRepository
from db.schedules import ScheduleRow
from db.subscriptions import SubscriptionRepository
from db.transaction import Database
from ops.cli.patience import patiently
from ops.cli.reach import changing, with_database
from ops.cli.tables import print_json
from trading.calendar import exchange_time
from trading.own_times import Turn

# Accounts that one statement subscribes: some tens of ms.
_CHUNK = 5000


def add(columns: Mapping[str, Any], description: str | None, as_: str | None, *, everyone: bool, as_json: bool) -> None:
    """Add a schedule and print what it is."""
    if everyone and columns["scope"] != "account":
        raise typer.BadParameter("--everyone: only a schedule with --scope account has subscribers")

    async def work(session: AsyncSession, actor: str) -> tuple[Edited, bool]:
        edits = ScheduleEditRepository(session)
        ground = await edits.ground(str(columns["exchange"]))
        # One that ended while it subscribed everyone is run again, and goes on.
        there = await edits.same(columns) if everyone else None
        return there or await edits.add(ground, columns, actor, description), there is not None

    done, was_there = changing(as_, work)
    facts = with_database(lambda database: _subscribe_everyone(database, done.id)) if everyone else {}
    _tell(done, "there already, as it is wanted" if was_there else "added", facts, as_json=as_json)


def edit(name: str, wanted: Mapping[str, Any], as_: str | None, *, as_json: bool) -> None:
    """Change a schedule and print what changed."""
    if not wanted:
        raise typer.BadParameter('say what to change, such as --trigger "at 16:30" or --grace 10m')

    async def work(session: AsyncSession, actor: str, may_wait: bool) -> Edited:
        edits = ScheduleEditRepository(session)
        ground, row = await edits.ground_of(name), await held(edits, name)
        # Once it is over it is known whether the day's slot was had; a firing that takes long keeps its slot.
        if may_wait and row.firing_slot is not None and "trigger" in wanted:
            raise FiringError(name)
        return await edits.change(ground, row, wanted, actor)

    done = patiently(as_, work)
    _tell(done, "changed" if done.changes else "as it was", {}, as_json=as_json)


def switch(name: str, as_: str | None, *, on: bool, as_json: bool) -> None:
    """Switch a schedule on or off and print what it is."""

    async def work(session: AsyncSession, actor: str) -> Edited:
        edits = ScheduleEditRepository(session)
        ground = await edits.ground_of(name)
        return await edits.switch(ground, await held(edits, name), on, actor)

    done = changing(as_, work)
    word = "enabled" if on else "disabled"
    _tell(done, word if done.changes else f"{word} already", {}, as_json=as_json)


async def held(edits: ScheduleEditRepository, name: str) -> ScheduleRow:
    """Return a schedule, locked. Raises typer.BadParameter for none of that name, and for users' own times."""
    row = await edits.hold(name)
    if row is None:
        raise no_schedule(name)
    if row.base_id is not None:
        raise typer.BadParameter(
            f"{name!r} is an own time that users chose: edit the schedule it follows, or let them choose another by "
            "`muhurat subscriptions override`"
        )
    return row


def no_schedule(name: str) -> typer.BadParameter:
    """Return the error for a name that no schedule has."""
    return typer.BadParameter(f"there is no schedule {name!r}: give a name that `muhurat schedules` lists")


def said_turn(day: Turn) -> str:
    """Return what becomes of today, or nothing when there is nothing to say."""
    if day.held_until is not None:
        begins = f"{exchange_time(day.held_until):%Y-%m-%d}"
        return f"today's slot has fired already, or is about to: the new time begins on {begins}"
    if day.joins is not None:
        at = f"{exchange_time(day.joins):%H:%M} IST"
        return f"today's slot would be lost, as the old time had not fired: it is made now, as that of {at}"
    return ""


def said_moment(at: datetime | None) -> str:
    """Return a moment in IST, or never."""
    return f"{exchange_time(at):%Y-%m-%d %H:%M:%S} IST" if at is not None else "never"


async def _subscribe_everyone(database: Database, schedule_id: int) -> dict[str, int]:
    """Subscribe every account there is, some thousand a transaction: nobody waits long for their rows.

    Those that are subscribed stay as they are. Returns how many are new, and how many there are.
    """
    async with database.reading(None) as session:
        last = await SubscriptionRepository(session).last_account()
    count = 0
    with Console(stderr=True).status("Subscribing") as screen:
        for after in range(0, last, _CHUNK):
            async with database.transaction(None) as session:
                count += await SubscriptionRepository(session).subscribe_everyone(schedule_id, after, _CHUNK)
            screen.update(f"Subscribing: {count:,} accounts; if this ends early, run it again: it goes on")
    async with database.reading(None) as session:
        subscribers = (await ScheduleLookRepository(session).subscribers(schedule_id))["subscribed"]
    return {"subscribed": count, "subscribers": subscribers}


def _tell(done: Edited, word: str, more: Mapping[str, Any], *, as_json: bool) -> None:
    facts = {
        "schedule": done.name,
        "id": done.id,
        "version": done.version,
        "changes": done.changes,
        "next_due_at": done.next_due_at,
        "firing_slot": done.firing_slot,
        "held_until": done.turn.held_until,
        "joins": done.turn.joins,
        "own_times_changed": done.own_times,
        **more,
    }
    if as_json:
        print_json(facts)
        return
    typer.echo(f"{done.name} is {word}: version {done.version}, next due {said_moment(done.next_due_at)}")
    for column, (before, after) in done.changes.items():
        typer.echo(f"  {column}: {before if before is not None else '-'} -> {after if after is not None else '-'}")
    sentences = [said_turn(done.turn)]
    if done.firing_slot is not None:
        sentences.append(f"the slot {said_moment(done.firing_slot)} is being fired and stays")
    if done.own_times:
        sentences.append(f"{done.own_times} own times of users were changed with it")
    sentences += [f"{name} {value:,}" for name, value in more.items()]
    for sentence in filter(None, sentences):
        typer.echo(f"  {sentence}")
