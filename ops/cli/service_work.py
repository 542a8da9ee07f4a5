"""What the commands about services do: they look, start or stop, and print."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import typer

from db.lookups import LookupRepository
from db.service_looks import ServiceLookRepository
from db.transaction import Database
from ops.cli.reach import operator_named, reading, with_database
from ops.cli.status import user_named
from ops.cli.tables import age, console, print_facts, print_json, print_rows, said, say_done
from worker.services import Missing, Started, Stopped, View, look_at, start_service, stop_service

FAILED = 1
_COLUMNS = (
    "id", "email", "state", "since", "by", "heartbeat", "last_task_execution", "running", "live_orders", "error_count",
)  # fmt: skip


def list_page(limit: int, after: int, *, as_json: bool) -> None:
    """Print a page of services."""
    rows = reading(lambda session: ServiceLookRepository(session).page(limit + 1, after))
    shown, following = rows[:limit], rows[limit - 1]["id"] if len(rows) > limit else None
    if as_json:
        print_json({"services": shown, "next": following})
        return
    lines = [{**row, "heartbeat": _beat(row["heartbeat_seconds"])} for row in shown]
    print_rows("Services (times in IST)", lines, columns=_COLUMNS, empty="none yet: `muhurat users add EMAIL`")
    if following is not None:
        typer.echo(f"there are more: --limit {limit * 2}, or --after {following}")


def show(who: str, *, as_json: bool) -> None:
    """Print everything about one service."""

    async def look(session: Any) -> View:
        return await look_at(session, await user_named(LookupRepository(session), who))

    view = reading(look)
    if as_json:
        print_json(asdict(view))
        return
    service = view.service
    facts = {name: value for name, value in service.items() if name not in ("heartbeat_seconds", "id")}
    facts["last_heartbeat"] = _last_beat(service)
    facts["last_execution"] = _last_execution(view)
    print_facts(f"Service of {service['email']} ({service['id']}), times in IST", facts)
    print_rows("In flight", view.in_flight)
    print_rows("Live orders, looked after until they are final", view.live_orders)
    out = console()
    for note in view.notes:
        out.print(note, style="yellow", highlight=False)
    if view.missing:
        out.print("A start would be refused:" if not service["started_at"] or service["state"] in _STOPPED else _WANTS)
        _tell_missing(view.missing, err=False)
    elif service["state"] in _STOPPED:
        out.print(f"nothing is missing: `muhurat users start {service['email']}`", highlight=False)


_STOPPED = ("stopped", "stopping")
_WANTS = "It runs, but cannot trade:"


def start(who: str, name: str | None, *, as_json: bool) -> None:
    """Start a user's service. Raises typer.Exit with code 1 when something is missing."""
    by = operator_named(name)

    async def work(database: Database) -> tuple[int, Started]:
        user_id = await _user(database, who)
        return user_id, await start_service(database, user_id, by)

    user_id, started = with_database(work)
    lacks = [asdict(one) for one in started.missing]
    if started.switched is None:
        if as_json:
            print_json({"user_id": user_id, "service_running": False, "changed": False, "missing": lacks})
        else:
            typer.echo(f"error: the service of {who} cannot start, nothing was changed; missing:", err=True)
            _tell_missing(started.missing, err=True)
        raise typer.Exit(FAILED)
    switched = started.switched
    done = {"user_id": user_id, **_told(switched), "was_running": not switched.changed}
    if as_json:
        print_json({**done, "missing": lacks, "notes": started.notes})
        return
    say_done(done, "the service runs" if switched.changed else "it runs already, nothing was changed", as_json=False)
    for note in started.notes:
        typer.echo(note, err=True)
    if started.missing:
        typer.echo(_WANTS, err=True)
        _tell_missing(started.missing, err=True)


def stop(who: str, name: str | None, *, as_json: bool) -> None:
    """Stop a user's service."""
    by = operator_named(name)

    async def work(database: Database) -> tuple[int, Stopped]:
        user_id = await _user(database, who)
        return user_id, await stop_service(database, user_id, by)

    user_id, stopped = with_database(work)
    switched = stopped.switched
    done = {
        "user_id": user_id,
        **_told(switched),
        "was_running": switched.changed,
        "cancelled": switched.cancelled,
        "running": stopped.running,
        "live_orders": stopped.live_orders,
    }
    say_done(done, _stopped(stopped), as_json=as_json)


def _stopped(stopped: Stopped) -> str:
    words = ["the service is stopped" if stopped.switched.changed else "it is stopped already, nothing was changed"]
    if stopped.running:
        words.append(f"still running and let finish: {stopped.running}")
    if stopped.live_orders:
        words.append(f"live orders, looked after until they are final: {stopped.live_orders}")
    return "; ".join(words)


def _told(switched: Any) -> dict[str, Any]:
    return {
        "service_running": switched.running,
        "changed": switched.changed,
        "generation": switched.generation,
        "since": switched.since,
        "by": switched.by,
    }


async def _user(database: Database, who: str) -> int:
    async with database.reading(None) as session:
        return await user_named(LookupRepository(session), who)


def _tell_missing(missing: Sequence[Missing], *, err: bool) -> None:
    for one in missing:
        typer.echo(f"  {one.what}: {one.said}; {one.cure}", err=err)


def _beat(seconds: float | None) -> str:
    return "-" if seconds is None else f"{age(seconds)} ago"


def _last_beat(service: Any) -> str | None:
    if service["last_heartbeat"] is None:
        return None
    return f"{said(service['last_heartbeat'])}, {_beat(service['heartbeat_seconds'])}"


def _last_execution(view: View) -> str | None:
    last = view.last_execution
    if last is None:
        return None
    words = f"{last['id']} {last['task_name']}, {last['status']} at {said(last['finished_at'])}"
    return f"{words}: {last['reason']}" if last["reason"] else words
