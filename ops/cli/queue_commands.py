"""`muhurat queues`, `workers`, `retries`, `dead` and `why-waiting`: what is under way, and what can be done to it."""

from typing import Annotated

import typer

from ops.cli import options as o
from ops.cli import queue_options as q
from worker.inspection.results import Action, Edit, Group

queues = typer.Typer(
    cls=q.ListFirst, help="Queues: what is ready, claimed, waiting and dead on each, and what is queued."
)
workers = typer.Typer(cls=q.ListFirst, help="Worker processes: who lives, what each runs and holds.")
retries = typer.Typer(
    cls=q.ListFirst, help="What waits for its next attempt: list it, look into it, run, edit or end it."
)
dead = typer.Typer(cls=q.ListFirst, help="Dead letters, newest first: what failed for good, and doing it again.")

_ACTIONS = {
    (Group.QUEUES, Action.RUN): "Ring queued executions anew, within their users' share.",
    (Group.QUEUES, Action.DELETE): "End queued or waiting executions as cancelled, and remove their messages.",
    (Group.QUEUES, Action.KILL): "End executions: those queued as failed, among the dead; running ones are fenced.",
    (Group.QUEUES, Action.REQUEUE): "Ring queued executions anew, within their users' share.",
    (Group.QUEUES, Action.EDIT): "Give queued executions another due time, other attempts or another queue.",
    (Group.RETRIES, Action.RUN): "Make retries due now, within their users' share; no deadline or halt is bypassed.",
    (Group.RETRIES, Action.DELETE): "End retries as cancelled, and remove their messages.",
    (Group.RETRIES, Action.KILL): "End retries as failed, and put their messages among the dead letters.",
    (Group.RETRIES, Action.REQUEUE): "Give retries a fresh message, due when they were.",
    (Group.RETRIES, Action.EDIT): "Give retries another due time, other attempts or another queue.",
    (Group.DEAD, Action.RUN): "Do again what has ended, by a new execution; the same as requeue.",
    (Group.DEAD, Action.DELETE): "Remove dead letters; what is removed stands in the audit log.",
    (Group.DEAD, Action.KILL): "Refused for what has ended: a final state stays.",
    (
        Group.DEAD,
        Action.REQUEUE,
    ): "Do again what has ended, by a new execution that names it; intents keep their orders.",
    (Group.DEAD, Action.EDIT): "Refused for what has ended; a message without execution has no due time either.",
}


@queues.command("list")
def list_queues(queue: q.Queue = None, user: o.User = None, gauges: q.Gauges = False, json: o.Json = False) -> None:
    """List every queue: what is on Redis, what Postgres says of it, how old the oldest is, and who serves it.

    Foreign queues that there is anything of are listed too. Of one user only the executions can be counted.
    """
    from ops.cli.queue_looks import look_at_queues

    look_at_queues(queue, user, gauges=gauges, as_json=json)


@queues.command("show")
def show_queue(
    name: Annotated[str, typer.Argument(metavar="QUEUE|ID", help="A queue, or an execution or message on one.")],
    user: o.User = None,
    limit: o.Limit = 20,
    before: q.Cursor = None,
    after: o.After = 0,
    json: o.Json = False,
) -> None:
    """Show a queue: its next messages and what is behind its users' share. Or show one execution or message."""
    from ops.cli.queue_looks import look_at_queue

    look_at_queue(name, user, limit, before, after, as_json=json)


@workers.command("list")
def list_workers(json: o.Json = False) -> None:
    """List worker processes that live or did within the hour, and other clients with a heartbeat on Redis.

    States: live; stopped (its lease ran out); gone (seen to end, its work is being taken back); ended.
    """
    from ops.cli.queue_looks import look_at_workers

    look_at_workers(as_json=json)


@workers.command("show")
def show_worker(
    name: Annotated[str, typer.Argument(metavar="NAME", help="As `muhurat workers` lists it.")],
    limit: o.Limit = 100,
    json: o.Json = False,
) -> None:
    """Show what a worker runs, the longest first, and which messages it holds."""
    from ops.cli.queue_looks import look_at_worker

    look_at_worker(name, limit, as_json=json)


@retries.command("list")
def list_retries(
    actor: q.Actor = None,
    user: o.User = None,
    queue: q.Queue = None,
    error: q.Error = None,
    older: q.Older = None,
    newer: q.Newer = None,
    sort: q.Sort = None,
    limit: o.Limit = 30,
    before: q.Cursor = None,
    json: o.Json = False,
) -> None:
    """List what waits for its next attempt, the next due first. Orders: due, age, task, user, queue, attempt."""
    from ops.cli.queue_looks import Filters, look_at_entries

    filters = Filters(actor, user, queue, error, older, newer)
    look_at_entries(Group.RETRIES, filters, sort, limit, before, as_json=json)


@dead.command("list")
def list_dead(
    actor: q.Actor = None,
    user: o.User = None,
    queue: q.Queue = None,
    error: q.Error = None,
    older: q.Older = None,
    newer: q.Newer = None,
    sort: q.Sort = None,
    limit: o.Limit = 30,
    before: q.Cursor = None,
    json: o.Json = False,
) -> None:
    """List dead letters of all queues, newest first. Orders: died, age, task, user, queue, attempt."""
    from ops.cli.queue_looks import Filters, look_at_entries

    filters = Filters(actor, user, queue, error, older, newer)
    look_at_entries(Group.DEAD, filters, sort, limit, before, as_json=json)


def show_one(name: q.Name, json: o.Json = False) -> None:
    """Show one: its message as it is stored, its attempts and errors, and what happened when."""
    from ops.cli.queue_looks import look_at_one

    look_at_one(name, as_json=json)


retries.command("show")(show_one)
dead.command("show")(show_one)


def why_waiting(words: q.Words, json: o.Json = False) -> None:
    """Say why an execution waits: not due, behind others, backing off, in need of something, or nobody serves it.

    Give an execution's id; or a user (by e-mail or id, - for shared tasks), a task and, if you like, a slot in IST.

    [bold]Examples[/bold]

      muhurat why-waiting 4711

      muhurat why-waiting asha@example.org buy_orders 16:05
    """
    from ops.cli.queue_looks import look_at_waits

    look_at_waits(words, as_json=json)


def _add(app: typer.Typer, group: Group, action: Action) -> None:
    """Add one action's command to a group."""

    def act(
        ids: q.Ids = None,
        actor: q.Actor = None,
        user: o.User = None,
        queue: q.Queue = None,
        error: q.Error = None,
        older: q.Older = None,
        newer: q.Newer = None,
        all_matching: q.AllMatching = False,
        dry_run: q.DryRun = False,
        yes: q.Yes = False,
        as_: o.As = None,
        json: o.Json = False,
    ) -> None:
        from ops.cli.queue_looks import Filters
        from ops.cli.queue_work import Asked, perform

        filters = Filters(actor, user, queue, error, older, newer)
        asked = Asked(ids or [], filters.wish(), user, all_matching, dry_run, yes, as_, json)
        perform(group, action, asked, Edit())

    def edit(
        ids: q.Ids = None,
        due: q.Due = None,
        in_: q.In = None,
        attempts_left: q.AttemptsLeft = None,
        to_queue: q.ToQueue = None,
        actor: q.Actor = None,
        user: o.User = None,
        queue: q.Queue = None,
        error: q.Error = None,
        older: q.Older = None,
        newer: q.Newer = None,
        all_matching: q.AllMatching = False,
        dry_run: q.DryRun = False,
        yes: q.Yes = False,
        as_: o.As = None,
        json: o.Json = False,
    ) -> None:
        from ops.cli.queue_looks import Filters, edit_of
        from ops.cli.queue_work import Asked, perform

        filters = Filters(actor, user, queue, error, older, newer)
        asked = Asked(ids or [], filters.wish(), user, all_matching, dry_run, yes, as_, json)
        perform(group, action, asked, edit_of(due, in_, attempts_left, to_queue))

    told = f"{_ACTIONS[group, action]}\n\nCode 1 if one of the ids was lost to somebody faster, or refused."
    app.command(action.value, help=told)(edit if action is Action.EDIT else act)


for _group, _app in ((Group.QUEUES, queues), (Group.RETRIES, retries), (Group.DEAD, dead)):
    for _action in Action:
        _add(_app, _group, _action)
