"""The queues as people read them: tables of what waits, what is dead, who works, and why something waits."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import typer

from ops.cli.tables import age, console, print_facts, print_rows, said
from worker.inspection.letters import Letter
from worker.inspection.listing import Page
from worker.inspection.queues import QueueState
from worker.inspection.results import Result, Verdict
from worker.inspection.showing import View
from worker.inspection.waits import Explanation
from worker.inspection.workers import Workers, WorkerState

_MOST_RESULTS = 20
_STYLE = {
    Verdict.DONE: "green",
    Verdict.WOULD: "",
    Verdict.LOST: "yellow",
    Verdict.REFUSED: "red",
    Verdict.UNSURE: "red",
}


def print_queues(states: Sequence[QueueState]) -> None:
    """Print how queues stand."""
    rows = [{**asdict(one), **_ages(one), "is_ours": None if one.is_ours else "foreign"} for one in states]
    columns = (
        "queue", "is_ours", "ready", "oldest_ready", "claimed", "adrift", "waiting", "overdue", "oldest_overdue",
        "dead", "delayed", "running", "backlog", "oldest_backlog", "retrying", "needing", "workers",
    )  # fmt: skip
    print_rows("Queues", rows, columns=columns)
    for one in states:
        if not one.workers and one.is_ours and (one.ready or one.backlog):
            console().print(f"no live worker serves {one.queue}", style="bold red", highlight=False)


def print_entries(title: str, page: Page, when: str) -> None:
    """Print a page of messages. when: what their moment is called."""
    rows = [
        {
            "id": one.id,
            "actor": one.task or "unreadable",
            "queue": one.queue,
            "user": one.email,
            "attempt": f"{one.attempt}/{one.attempts}" if one.attempt is not None else None,
            "status": f"{one.status}, stale" if one.is_stale else one.status or "no row",
            when: one.at,
            "in" if when == "due" else "ago": _span(one.seconds),
            "error": one.error,
        }
        for one in page.entries
    ]
    print_rows(f"{title} (times in IST)", rows)
    if page.next:
        typer.echo(f"there are more: --before {page.next}")


def print_ready(queue: str, letters: Sequence[Letter], behind: str | None) -> None:
    """Print the next ready messages of a queue."""
    rows = [{"message": one.message_id, "actor": one.task or "unreadable", "sent": one.sent} for one in letters]
    print_rows(f"Ready in {queue}, the next first", rows)
    if behind:
        typer.echo(f"there are more: --before {behind}")


def print_backlog(queue: str, rows: Sequence[Mapping[str, Any]], after: int | None) -> None:
    """Print what is behind its users' share of a queue."""
    columns = ("id", "task_name", "email", "account_id", "subject", "scheduled_for", "attempt", "created_at")
    print_rows(f"Behind their users' share of {queue}", rows, columns=columns)
    if after:
        typer.echo(f"there are more: --after {after}")


def print_workers(found: Workers) -> None:
    """Print who takes work."""
    rows = [
        {
            "name": one.name,
            "state": one.state,
            "host": one.host,
            "pid": one.pid,
            "queues": one.queues,
            "running": one.running,
            "held": one.held,
            "lease_left": _span(one.lease_seconds) if one.state in (WorkerState.LIVE, WorkerState.STOPPED) else None,
            "seen": f"{age(one.seen_seconds)} ago" if one.seen_seconds is not None else None,
            "ended": f"{age(one.ended_seconds)} ago" if one.ended_seconds is not None else None,
        }
        for one in found.workers
    ]
    print_rows("Workers", rows, empty="none lives, and none did lately: start the processes of the Procfile")
    if found.clients:
        clients = [
            {"name": one.name, "seen": f"{age(one.seen_seconds)} ago", "held": one.held} for one in found.clients
        ]
        print_rows("Clients: whoever else Redis has heard of", clients)


def print_view(view: View) -> None:
    """Print everything about one execution or message."""
    if view.execution is not None:
        lists = {
            name: rows for name, rows in view.execution.items() if isinstance(rows, list) and name != "waiting_for"
        }
        facts = {name: value for name, value in view.execution.items() if name not in lists}
        print_facts(f"Execution {view.id} (times in IST)", facts)
        for name in ("follow_ups", "orders"):
            if lists.get(name):
                print_rows(name.replace("_", " "), lists[name])
    if view.message is None:
        typer.echo("no message of it is on Redis")
    else:
        print_facts(f"Its message, {view.message.place} in {view.message.queue}", asdict(view.message))
    if view.timeline:
        print_rows("What happened", [asdict(event) for event in view.timeline])


def print_results(results: Sequence[Result], counts: Mapping[str, int], matched: int) -> None:
    """Print what became of each, those that were not done first, and the counts."""
    out = console()
    shown = sorted(results, key=lambda one: one.verdict is Verdict.DONE)[:_MOST_RESULTS]
    for one in shown:
        out.print(
            f"{one.id}: {one.verdict}: {one.said}",
            style=_STYLE[one.verdict],
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
    if matched > len(shown):
        out.print(f"and {matched - len(shown):,} more", highlight=False)
    if matched != 1:
        typer.echo(", ".join(f"{count:,} {verdict}" for verdict, count in counts.items() if count) or "nothing matches")


def print_why(found: Sequence[Explanation]) -> None:
    """Print why executions wait, in sentences."""
    out = console()
    for one in found:
        name = f"execution {one.execution_id}" if one.execution_id is not None else "no execution"
        slot = f", slot {said(one.scheduled_for)} IST" if one.scheduled_for is not None else ""
        account = f", account {one.account_id}" if one.account_id is not None else ""
        state = f": {one.status}" if one.status is not None else ""
        out.print(f"{one.task} ({name}{account}{slot}){state}", style="bold", markup=False, highlight=False)
        for reason in one.reasons:
            out.print(f"  - {reason.said}", markup=False, highlight=False, soft_wrap=True)


def _ages(one: QueueState) -> dict[str, str | None]:
    seconds = {
        "oldest_ready": one.oldest_ready_seconds,
        "oldest_overdue": one.oldest_overdue_seconds,
        "oldest_backlog": one.oldest_backlog_seconds,
    }
    return {name: None if value is None else age(value) for name, value in seconds.items()}


def _span(seconds: float) -> str:
    return age(seconds) if seconds >= 0 else f"over for {age(-seconds)}"
