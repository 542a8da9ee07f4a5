"""`muhurat halt`, `resume` and `halts`: what stops at once, who said so, and what goes on again."""

from typing import Annotated

import typer

from ops.cli import options as o

User = Annotated[str | None, typer.Option("--user", metavar="EMAIL", callback=o.said_one, help="Of one user.")]
Account = Annotated[int | None, typer.Option(min=1, max=o.LARGEST_ID, metavar="ID", help="Of one account.")]
Task = Annotated[str | None, typer.Option(metavar="TASK", callback=o.said_one, help="Of one task, such as buy_orders.")]
Strategy = Annotated[str | None, typer.Option(metavar="NAME", callback=o.said_one, help="Of one strategy.")]
Symbol = Annotated[str | None, typer.Option(metavar="SYMBOL", callback=o.said_one, help="Of one share.")]
Everywhere = Annotated[bool, typer.Option("--everywhere", help="Of everybody; never meant unless it is said.")]
Entries = Annotated[bool, typer.Option("--entries", help="New buys, re-entries too. The default.")]
Exits = Annotated[bool, typer.Option("--exits", help="New sells.")]
Changes = Annotated[bool, typer.Option("--changes", help="Changes of orders that live at a broker; cancels pass.")]
Tasks = Annotated[bool, typer.Option("--tasks", help="Executions do not begin: they wait, and are rung afterwards.")]
Everything = Annotated[bool, typer.Option("--everything", help="All of these.")]
Reason = Annotated[str, typer.Option(metavar="TEXT", help="Why; whoever meets the halt reads it.")]
Until = Annotated[
    str | None,
    typer.Option(metavar="TIME", help='Until when, in IST: 15:30, or "2026-11-27 09:10". Unset: until it is resumed.'),
]
CancelLive = Annotated[bool, typer.Option("--cancel-live", help="Cancel what brokers have of it already.")]
Ids = Annotated[
    list[int] | None,
    typer.Argument(min=1, max=o.LARGEST_ID, metavar="HALT", help="Halts, as `muhurat halts` lists them."),
]


def halt(
    reason: Reason,
    user: User = None,
    account: Account = None,
    task: Task = None,
    strategy: Strategy = None,
    symbol: Symbol = None,
    everywhere: Everywhere = False,
    entries: Entries = False,
    exits: Exits = False,
    changes: Changes = False,
    tasks: Tasks = False,
    everything: Everything = False,
    until: Until = None,
    cancel_live: CancelLive = False,
    as_: o.As = None,
    json: o.Json = False,
) -> None:
    """Stop new orders, or more, of a user, an account, a task, a strategy, a share, or everywhere; at once.

    What is halted is refused at the effect, and never sent later by surprise. Cancels pass, and while an account has
    live orders its book is read on. Orders that brokers have already are listed, and cancelled if you say so.

    [bold]Examples[/bold]

      muhurat halt --symbol INFY --reason "results tonight" --until 15:30

      muhurat halt --everywhere --entries --exits --changes --reason "no new orders, keep syncing"
    """
    from ops.cli.halting import Asked, put_in_force

    flags = {"entries": entries, "exits": exits, "changes": changes, "tasks": tasks}
    asked = Asked(user, account, task, strategy, symbol, everywhere, flags, everything, reason, until, cancel_live)
    put_in_force(asked, as_, as_json=json)


def resume(
    halts: Ids = None,
    all_: Annotated[bool, typer.Option("--all", help="End every halt there is.")] = False,
    as_: o.As = None,
    json: o.Json = False,
) -> None:
    """End halts. What waited is rung at once if it is still useful; what was refused stays refused."""
    from ops.cli.halting import resume_halts

    resume_halts(halts or [], as_, everything=all_, as_json=json)


def list_halts(
    ended: Annotated[bool, typer.Option("--ended", help="Those that are over.")] = False,
    user: o.User = None,
    limit: o.Limit = 50,
    json: o.Json = False,
) -> None:
    """List the halts in force: what each stops, for whom, who said so, why and until when."""
    from ops.cli.halting import print_halts

    print_halts(user, limit, ended=ended, as_json=json)
