"""`muhurat schedules`: when each task fires and by which policies; what will fire, what it would cost, what differs."""

from typing import Annotated

import typer

from ops.cli import options as o
from ops.cli import queue_options as q
from ops.cli import schedule_options as s

schedules = typer.Typer(cls=q.ListFirst, help="Schedules: list, change, preview, simulate, compare, run now.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="What to call it; at most 64 characters.")]
_BIG = 100_000


@schedules.command("list")
def list_schedules(task: q.Actor = None, json: o.Json = False) -> None:
    """List schedules: what fires when, by which policies, for how many accounts, and what is next."""
    from ops.cli.schedule_looks import list_all

    list_all(task, as_json=json)


@schedules.command("show")
def show_schedule(name: s.Schedule, json: o.Json = False) -> None:
    """Show a schedule: its policies and versions, its next slots, and how many accounts of it fire."""
    from ops.cli.schedule_looks import show_one

    show_one(name, as_json=json)


@schedules.command("versions")
def list_versions(name: s.Schedule, json: o.Json = False) -> None:
    """List what was changed of a schedule, by whom, newest first."""
    from ops.cli.schedule_looks import show_versions

    show_versions(name, as_json=json)


@schedules.command("add")
def add_schedule(
    name: Name,
    task: Annotated[str, typer.Option(metavar="TASK", help="What it runs, such as order_sync.")],
    trigger: Annotated[str, typer.Option(metavar="TEXT", help='When, such as "at 16:05" or "every 60s while open".')],
    scope: Annotated[
        str,
        typer.Option(
            metavar="account|parameters|shared",
            help="For each subscribed account, each parameter set, or once for all, without a user.",
        ),
    ] = "account",
    condition: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only for accounts it is true of, such as has_open_position.")
    ] = None,
    exchange: Annotated[str, typer.Option(metavar="NAME", help="Whose calendar it goes by.")] = "NSE",
    everyone: Annotated[
        bool, typer.Option("--everyone", help="Subscribe every account there is; later ones are in any case.")
    ] = False,
    description: s.Description = None,
    grace: s.Grace = None,
    catch_up: s.CatchUp = None,
    overlap: s.Overlap = None,
    jitter: s.Jitter = None,
    spread: s.Spread = None,
    useful: s.Useful = None,
    starts: s.Starts = None,
    ends: s.Ends = None,
    max_runs: s.MaxRuns = None,
    as_: o.As = None,
    json: o.Json = False,
) -> None:
    """Add a schedule; it is planned at once, and a scheduler that sleeps hears of it.

    [bold]Examples[/bold]

      muhurat schedules add tidying --task retention --scope shared --trigger "close+4h on last session of month"

      muhurat schedules add "late sync" --task order_sync --trigger "at 20:30" --spread 5m --everyone
    """
    from ops.cli.schedule_work import add

    columns = {"name": name, "task_name": task, "trigger": trigger, "scope": scope, "exchange": exchange}
    policies = s.policies(grace, catch_up, overlap, jitter, spread, useful, starts, ends, max_runs)
    add({**columns, **s.given(condition=condition), **policies}, description, as_, everyone=everyone, as_json=json)


@schedules.command("edit")
def edit_schedule(
    name: s.Schedule,
    trigger: s.Trigger = None,
    grace: s.Grace = None,
    catch_up: s.CatchUp = None,
    overlap: s.Overlap = None,
    jitter: s.Jitter = None,
    spread: s.Spread = None,
    useful: s.Useful = None,
    starts: s.Starts = None,
    ends: s.Ends = None,
    max_runs: s.MaxRuns = None,
    as_: o.As = None,
    json: o.Json = False,
) -> None:
    """Change when a schedule fires and by which policies; a firing under way keeps its slot.

    Of a time that changes during the day, the day's slot fires once: if it has fired, the new time begins the next day;
    if the new time has passed and the old one has not, it fires at once. Policies go for users' own times too.
    """
    from ops.cli.schedule_work import edit

    policies = s.policies(grace, catch_up, overlap, jitter, spread, useful, starts, ends, max_runs)
    edit(name, {**s.given(trigger=trigger), **policies}, as_, as_json=json)


@schedules.command("enable")
def enable_schedule(name: s.Schedule, as_: o.As = None, json: o.Json = False) -> None:
    """Let a schedule fire from now on; what it would have fired meanwhile is not caught up."""
    from ops.cli.schedule_work import switch

    switch(name, as_, on=True, as_json=json)


@schedules.command("disable")
def disable_schedule(name: s.Schedule, as_: o.As = None, json: o.Json = False) -> None:
    """Let a schedule fire no more; what a firing under way has not made yet is not made."""
    from ops.cli.schedule_work import switch

    switch(name, as_, on=False, as_json=json)


@schedules.command("preview")
def preview_schedules(
    user: o.User = None,
    schedule: Annotated[str | None, typer.Option(metavar="NAME", help="One schedule. Unset: all.")] = None,
    first: s.From = None,
    last: s.To = None,
    next_: Annotated[
        int | None,
        typer.Option("--next", min=1, max=_BIG, metavar="N", help="So many. Unset: 20, or all to --to."),
    ] = None,
    json: o.Json = False,
) -> None:
    """Tell what will fire: the next slots, and why on some days or for this user nothing does.

    Told by the planner that fires live. Holidays have their names; pauses, halts and a stopped service are named.

    [bold]Examples[/bold]

      muhurat schedules preview --user asha@example.org --next 10

      muhurat schedules preview --schedule buy_orders --from 2026-11-01 --to 2026-11-30
    """
    from ops.cli.schedule_previews import preview

    preview(user, schedule, first, last, next_, as_json=json)


@schedules.command("simulate")
def simulate_schedules(
    first: s.From = None,
    last: s.To = None,
    schedule: Annotated[str | None, typer.Option(metavar="NAME", help="One schedule. Unset: all.")] = None,
    json: o.Json = False,
) -> None:
    """Show how many executions a span makes, minute by minute and queue by queue, and its busiest minute.

    Reckoned from who subscribes now; a condition is judged as it is now. Unset: from market now for 24 hours. A day is
    drawn as columns, a longer span as a map of its days.
    """
    from ops.cli.schedule_loads import simulate

    simulate(schedule, first, last, as_json=json)


@schedules.command("diff")
def diff_schedules(
    before: Annotated[str, typer.Argument(metavar="NAME[@VERSION]", help="A schedule, or one of its versions.")],
    after: Annotated[str, typer.Argument(metavar="NAME[@VERSION]|TRIGGER", help="Another, or a proposed trigger.")],
    first: s.From = None,
    days: Annotated[int, typer.Option(min=1, max=400, metavar="N", help="How many days are compared.")] = 30,
    json: o.Json = False,
) -> None:
    """Show which slots come, go or move between two versions of a schedule, or with a proposed trigger.

    [bold]Examples[/bold]

      muhurat schedules diff buy_orders@1 buy_orders@2

      muhurat schedules diff buy_orders "at 16:30"
    """
    from ops.cli.schedule_diffs import diff

    diff(before, after, first, days, as_json=json)


@schedules.command("run-now")
def run_schedule_now(name: s.Schedule, user: o.User = None, as_: o.As = None, json: o.Json = False) -> None:
    """Run a schedule's task now besides its slots, for all who subscribe or one user; nobody is asked twice.

    It does the work of the latest slot while that is of use, under a subject of its own. Whoever's work is under way
    already is left out, as are pauses and stopped services; halts hold it back until they end.
    """
    from ops.cli.schedule_runs import run_now

    run_now(name, user, as_, as_json=json)
