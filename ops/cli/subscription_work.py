"""What the subscription commands do: one transaction each, with the schedule held, audited and told to schedulers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import typer
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from db.accounts import AccountRepository
from db.audit_logs import AuditLogRepository
from db.claims import SETTLED_CHANNEL
from db.lookups import LookupRepository
from db.manual_runs import ManualRunRepository, Run
from db.own_times import Moved, OwnTimeRepository, had_reason
from db.schedule_edits import Ground, ScheduleEditRepository
from db.schedules import ScheduleRow, finite
from db.service_status import ServiceStatusRepository
from db.subscriptions import Part, SubscriptionRepository
from ops.cli import schedule_options as s
from ops.cli.patience import patiently
from ops.cli.reach import changing, reading
from ops.cli.schedule_looks import find
from ops.cli.schedule_work import said_moment, said_turn
from ops.cli.status import user_named
from ops.cli.tables import print_json, print_rows
from scheduler.planning import plan
from trading.calendar import exchange_day, ist
from worker.messages import TASKS

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class _Held:
    """A user's part in a schedule, with the schedule held. base: not an own time that was made of it."""

    ground: Ground
    base: ScheduleRow
    part: Part


def list_of(user: str, *, as_json: bool) -> None:
    """Print a user's subscriptions."""

    async def look(session: AsyncSession) -> list[dict[str, Any]]:
        return await SubscriptionRepository(session).of_user(await user_named(LookupRepository(session), user))

    rows = reading(look)
    if as_json:
        print_json({"user": user, "subscriptions": rows})
        return
    lines = [{**row, "state": _state(row), "next_due": row["next_due_at"] if row["fires"] else None} for row in rows]
    columns = ("schedule", "own_time_of", "account_id", "account", "state", "next_due", "paused_by", "pause_reason")
    print_rows(f"Subscriptions of {user} (times in IST)", lines, columns=columns)


def enroll(user: str, schedule: str, account: int | None, as_: str | None, *, on: bool, as_json: bool) -> None:
    """Subscribe or unsubscribe a user's accounts and print what changed."""

    async def work(session: AsyncSession, actor: str) -> dict[str, Any]:
        held_part = await _hold(session, user, schedule, account)
        rows = SubscriptionRepository(session)
        changed = await (rows.enroll if on else rows.withdraw)(held_part.part)
        action = "subscribe" if on else "unsubscribe"
        await _audit(session, actor, action, held_part, {"subscriptions": changed})
        return {"user": user, "schedule": held_part.base.name, "changed": len(changed), "on": on,
                "next_due_at": finite(held_part.base.next_due_at)}  # fmt: skip

    done = changing(as_, work)
    word = "fires" if on else "fires no more"
    _tell(done, f"{done['schedule']} {word} for {user}: {done['changed']} accounts changed", as_json=as_json)


def pause(
    user: str, schedule: str, account: int | None, until: str | None, reason: str | None, as_: str | None, *,
    as_json: bool,
) -> None:  # fmt: skip
    """Pause a user's part in a schedule and print until when."""
    ends = s.begin("--until", until)

    async def work(session: AsyncSession, actor: str) -> dict[str, Any]:
        held_part = await _hold(session, user, schedule, account)
        if ends is not None and ends <= held_part.ground.now:
            raise typer.BadParameter(
                f"--until {until} is not after market now, {said_moment(held_part.ground.now)}: give a later time"
            )
        changed = await SubscriptionRepository(session).pause(held_part.part, ends, actor, reason)
        _require(changed, user, held_part.base.name)
        facts = {"until": ends.isoformat() if ends is not None else None, "reason": reason}
        await _audit(session, actor, "pause", held_part, facts)
        return {"user": user, "schedule": held_part.base.name, "changed": len(changed), "until": ends}

    done = changing(as_, work)
    when = said_moment(ends) if ends is not None else "somebody resumes it"
    _tell(done, f"{done['schedule']} is paused for {user} until {when}; nothing is caught up", as_json=as_json)


def resume(user: str, schedule: str, account: int | None, as_: str | None, *, as_json: bool) -> None:
    """End a user's pause and print from when on the schedule fires."""

    async def work(session: AsyncSession, actor: str) -> dict[str, Any]:
        held_part = await _hold(session, user, schedule, account)
        ground, rows = held_part.ground, OwnTimeRepository(session)
        free, had = await rows.resumable(ground, held_part.base, held_part.part)
        changed = await SubscriptionRepository(session).resume(free)
        tomorrow = ist(exchange_day(ground.now) + _DAY, datetime.min.time())
        await rows.hold_back(had, tomorrow, actor, had_reason(ground))
        await _audit(session, actor, "resume", held_part, {"subscriptions": [*free, *had]})
        return {"user": user, "schedule": held_part.base.name, "changed": len(changed) + len(had),
                "held_until": tomorrow if had else None}  # fmt: skip

    done = changing(as_, work)
    said = f"{done['schedule']} fires again for {user}: {done['changed']} accounts changed"
    if done["held_until"] is not None:
        said += f"; today's slot has fired already, so it begins on {done['held_until'] + timedelta(hours=12):%Y-%m-%d}"
    _tell(done, said, as_json=as_json)


def choose(user: str, schedule: str, trigger: str | None, as_: str | None, *, as_json: bool) -> None:
    """Let a schedule fire for a user at an own time, or by its own again, and print what it means for today."""

    async def work(session: AsyncSession, actor: str, _may_wait: bool) -> dict[str, Any]:
        # It may make the day's slot, and then sees whether the service is being stopped.
        await ServiceStatusRepository(session).hold_switches()
        part = await _hold(session, user, schedule, None)
        rows = OwnTimeRepository(session)
        target, moved = await rows.choose(part.ground, part.base, part.part.user_id, trigger, actor)
        made = await _make_up(session, part, target, moved)
        facts = {"trigger": target.trigger, "joins": target.name, "subscriptions": [one.id for one in moved]}
        await _audit(session, actor, "override", part, facts)
        day = next((one.turn for one in moved if one.turn.held_until or one.turn.joins), None)
        return {
            "user": user, "schedule": part.base.name, "fires_by": target.name, "trigger": target.trigger,
            "changed": len(moved), "next_due_at": finite(target.next_due_at), "executions": made,
            "held_until": day.held_until if day else None, "joins": day.joins if day else None,
            "today": said_turn(day) if day else "",
        }  # fmt: skip

    done = patiently(as_, work)
    said = f"{done['schedule']} fires for {user} {done['trigger']!r}, by schedule {done['fires_by']!r}"
    said += f", next due {said_moment(done['next_due_at'])}; {done['changed']} accounts changed"
    _tell(done, said + (f"\n  {done['today']}" if done["today"] else ""), as_json=as_json)


async def _make_up(session: AsyncSession, part: _Held, target: ScheduleRow, moved: Sequence[Moved]) -> list[int]:
    """Make the day's slot for those who would lose it: their new time has passed, and the old one had not come."""
    slot = next((one.turn.joins for one in moved if one.turn.joins is not None), None)
    accounts = [one.account_id for one in moved if one.turn.joins is not None and one.fires]
    if slot is None or not accounts:
        return []
    limits = plan(target.task_name, slot, part.ground.calendar)
    if limits.useful_until <= part.ground.now:
        return []
    run = Run(
        target.id, target.task_name, TASKS[target.task_name].queue, slot, limits.as_of or slot, limits.useful_until,
        limits.needs, "", slot,
    )  # fmt: skip
    asked = await ManualRunRepository(session).make(run, "account", 0, len(accounts), part.part.user_id, accounts)
    return list(asked.made)


async def _hold(session: AsyncSession, user: str, schedule: str, account: int | None) -> _Held:
    """Hold a schedule, the base of an own time. Raises typer.BadParameter for what is not there."""
    edits = ScheduleEditRepository(session)
    ground = await edits.ground_of(schedule)
    user_id = await user_named(LookupRepository(session), user)
    named = await find(session, schedule)
    # Never an own time before its base: whoever edits the base locks them in that order.
    row = await edits.hold_id(named.base_id or named.id)
    if row.scope != "account":
        raise typer.BadParameter(f"{schedule!r} is for no account in particular: nobody subscribes to it")
    if account is not None:
        there = await AccountRepository(session).find(account)
        if there is None or there.user_id != user_id:
            raise typer.BadParameter(f"--account {account} is none of {user}: see `muhurat accounts --user {user}`")
    return _Held(ground, row, Part(user_id, row.id, account))


async def _audit(session: AsyncSession, actor: str, action: str, held_part: _Held, facts: Mapping[str, Any]) -> None:
    part = held_part.part
    changes = {"schedule": held_part.base.name, "account_id": part.account_id, **facts}
    audit = AuditLogRepository(session)
    await audit.record(actor, action, "subscription", part.base_id, user_id=part.user_id, changes=changes)
    await session.execute(text(f"SELECT pg_notify('{SETTLED_CHANNEL}', '')"))


def _require(changed: Sequence[int], user: str, schedule: str) -> None:
    if not changed:
        raise typer.BadParameter(f"{user} does not subscribe to {schedule!r}: `muhurat subscriptions subscribe`")


def _state(row: Mapping[str, Any]) -> str:
    if not row["enabled"]:
        return "off"
    if not row["fires"]:
        return "schedule off"
    if not row["paused"]:
        return "on"
    until = row["paused_until"]
    return f"paused until {said_moment(until)}" if until is not None else "paused until resumed"


def _tell(done: Mapping[str, Any], said: str, *, as_json: bool) -> None:
    if as_json:
        print_json(done)
    else:
        typer.echo(said)
