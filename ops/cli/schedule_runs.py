"""A schedule's task run on request, for all who subscribe or for one user: `muhurat schedules run-now`."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import typer
from rich.console import Console

from db.audit_logs import AuditLogRepository
from db.lookups import LookupRepository
from db.manual_runs import ManualRunRepository, Run
from db.schedules import ScheduleRow
from db.service_status import ServiceStatusRepository
from db.transaction import Database
from ops.cli.reach import operator_named, with_database
from ops.cli.schedule_looks import find, ground_of
from ops.cli.schedule_previews import calendar_of
from ops.cli.schedule_work import said_moment
from ops.cli.status import user_named
from ops.cli.tables import print_json
from ops.schedules.requests import Wish, wish
from scheduler.slots import usable
from trading.calendar import exchange_day, ist
from worker.messages import TASKS

# Executions of one transaction: it is over in some tens of ms, and nobody waits for its rows for longer.
_CHUNK = 2000
_MOST_TOLD = 20


@dataclass(slots=True)
class _Done:
    """What was made. busy: executions that do the work already."""

    row: ScheduleRow
    run: Run
    wish: Wish
    made: list[int] = field(default_factory=list)
    busy: list[int] = field(default_factory=list)
    seen: int = 0


def run_now(name: str, user: str | None, as_: str | None, *, as_json: bool) -> None:
    """Make the executions and print them."""
    actor = operator_named(as_)
    done = with_database(lambda database: _make(database, name, user, actor))
    if as_json:
        print_json(_as_json(done))
        return
    _tell(done)


async def _make(database: Database, name: str, user: str | None, actor: str) -> _Done:
    async with database.transaction(None) as session:
        row, ground = await find(session, name), await ground_of(session)
        user_id = await user_named(LookupRepository(session), user) if user is not None else None
        if user_id is not None and row.scope == "shared":
            raise typer.BadParameter(f"{name!r} is for nobody in particular: leave --user out")
        wanted = wish(usable(row), calendar_of(ground, row), ground.now, ground.daily_bars)
        runs = ManualRunRepository(session)
        run = _run(row, wanted, ground.now, await runs.number())
        facts = {"schedule": name, "subject": run.subject, "as_of": wanted.as_of.isoformat()}
        await AuditLogRepository(session).record(actor, "run", "schedule", row.id, user_id=user_id, changes=facts)
    done = _Done(row, run, wanted)
    after, seen = 0, _CHUNK
    with Console(stderr=True).status("Asking") as screen:
        while seen == _CHUNK:
            async with database.transaction(None) as session:
                await ServiceStatusRepository(session).hold_switches()
                asked = await ManualRunRepository(session).make(run, row.scope, after, _CHUNK, user_id)
            after, seen = asked.last, asked.seen if row.scope == "account" else 0
            done.made += asked.made
            done.busy += asked.open
            done.seen += asked.seen
            screen.update(f"Asking: {done.seen:,} subscribers")
    return done


def _run(row: ScheduleRow, wanted: Wish, now: datetime, number: int) -> Run:
    since = ist(exchange_day(min(wanted.as_of, now)), datetime.min.time())
    return Run(
        row.id, row.task_name, TASKS[row.task_name].queue, now, wanted.as_of, wanted.useful_until, wanted.needs,
        f"manual:{number}", since,
    )  # fmt: skip


def _as_json(done: _Done) -> dict[str, Any]:
    return {
        "schedule": done.row.name,
        "task": done.row.task_name,
        "subject": done.run.subject if done.row.scope == "account" else None,
        "scheduled_for": done.run.at,
        "as_of": done.run.as_of,
        "useful_until": done.run.useful_until,
        "made": len(done.made),
        "executions": done.made[:_MOST_TOLD],
        "under_way": done.busy[:_MOST_TOLD],
        "subscribers": done.seen,
    }


def _tell(done: _Done) -> None:
    of = f"the work of {said_moment(done.wish.slot)}" if done.wish.slot is not None else "its work as of now"
    typer.echo(
        f"{len(done.made):,} executions of {done.row.task_name} were made for {done.seen:,} asked, {of}; "
        f"of use until {said_moment(done.run.useful_until)}"
    )
    if done.made:
        shown = ", ".join(map(str, done.made[:_MOST_TOLD]))
        typer.echo(f"  {shown}{' and more' if len(done.made) > _MOST_TOLD else ''}: `muhurat executions show ID`")
    if done.busy:
        typer.echo(f"  {len(done.busy):,} are under way already: `muhurat why-waiting {done.busy[0]}`")
    if not done.seen:
        typer.echo("  nobody is there to ask: see `muhurat subscriptions --user` and `muhurat users`")
