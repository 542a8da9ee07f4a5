"""The status as people read it: one screen, what is wrong in red."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from db.halts import halt_of
from ops.cli.tables import age, console, print_rows, said

# A scheduler beats every few seconds; one that was silent for longer does not work.
STALE_SECONDS = 30.0


def show(found: Mapping[str, Any]) -> None:
    """Print what `gather` found."""
    out = console()
    _show_halts(out, found["halts"])
    _show_market(out, found)
    for row in found["schedules_at_fault"]:
        line = f"schedule {row['name']} cannot fire: {row['fault']}; see `muhurat schedules`"
        out.print(line, style="red", highlight=False, markup=False)
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
    if totals["stale"]:
        out.print(f"{totals['stale']} services are on and no scheduler looks after them", style="red", highlight=False)
    print_rows(title, found["accounts"], empty="none yet: `muhurat users add EMAIL`")
    if totals["accounts"] > len(found["accounts"]):
        out.print(f"{totals['accounts'] - len(found['accounts'])} more: `muhurat accounts`", style="dim")


def _show_halts(out: Console, halts: Sequence[Mapping[str, Any]]) -> None:
    for row in halts:
        until = f" until {said(row['until'])} IST" if row["until"] else ""
        line = f"HALTED: {halt_of(row).named}{until}; `muhurat resume {row['id']}` ends it"
        out.print(line, style="bold white on red", highlight=False, markup=False)


def _show_market(out: Console, found: Mapping[str, Any]) -> None:
    clock = "replay clock" if found["replay"] else "market"
    line = f"[bold]{clock}[/bold] {said(found['market_now'])} IST, phase [bold]{found['phase']}[/bold]"
    upcoming = found["next_session"]
    if upcoming is None:
        line += f"; [red]{found['calendar_error']}[/red]"
    else:
        line += f"; session {upcoming['day']}, {said(upcoming['opens'])} to {said(upcoming['closes'])[11:]}"
    out.print(line, highlight=False)
    if found["calendar_warning"]:
        out.print(found["calendar_warning"], style="yellow", highlight=False)
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
        out.print(_worker_line(row), style="red" if row["lease_seconds"] < 0 else "", highlight=False)
    for kind in ("schedulers", "workers"):
        if not found[kind]:
            out.print(f"no {kind[:-1]} runs: start the processes of the Procfile", style="red", highlight=False)
    ready, away = found["redis"]["ready"], found["redis"]["away"]
    if away:
        out.print(f"Redis: away ({away}); nothing is lost, what is due is rung again", style="red", highlight=False)
    else:
        counts = ", ".join(f"{queue} {count}" for queue, count in ready.items())
        out.print(f"Redis: {counts} messages ready", highlight=False)


def _worker_line(row: Mapping[str, Any]) -> str:
    line = f"worker {row['name']} ({row['queues']}): {row['running']} running, "
    if row["gone_seconds"] is not None:
        return line + f"ended {age(row['gone_seconds'])} ago, its work is being taken back"
    left = row["lease_seconds"]
    lease = f"{age(left)} of its lease left" if left >= 0 else f"its lease ran out {age(-left)} ago"
    return line + f"seen {age(row['seen_seconds'])} ago, {lease}"
