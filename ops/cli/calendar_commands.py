"""`muhurat calendar`: which days trade and at which hours, what another list changes, and taking it."""

from pathlib import Path
from typing import Annotated

import typer

from ops.cli import options as o
from ops.cli import queue_options as q

calendar = typer.Typer(no_args_is_help=True, help="Exchange calendars: sessions, holidays, hours of the phases.")

_FILE = "A file like db/nse_calendar.csv."

File = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help=_FILE)]
OtherFile = Annotated[
    Path | None,
    typer.Argument(exists=True, dir_okay=False, help="What the first file is held against; unset: what is stored."),
]
Exchange = Annotated[str, typer.Option(metavar="NAME", help="Whose calendar.")]
Shrink = Annotated[bool, typer.Option("--shrink", help="Take it although it covers fewer days than what is stored.")]


@calendar.command("show")
def show_calendar(exchange: Exchange = "NSE", first: o.First = None, last: o.Last = None, json: o.Json = False) -> None:
    """Show coverage, the hours of the phases, and every day of a span (this year) that is not a regular weekday."""
    from ops.cli.calendar_work import show

    show(exchange, first, last, as_json=json)


@calendar.command("import")
def import_calendar(
    file: File,
    exchange: Exchange = "NSE",
    dry_run: q.DryRun = False,
    yes: q.Yes = False,
    shrink: Shrink = False,
    as_: o.As = None,
    json: o.Json = False,
) -> None:
    """Put a calendar file in place of what is stored, after showing what changes in the next 30 days.

    Nothing changes when a line of it cannot be used, when it leaves a gap to what is stored, or covers fewer days. A
    file without hours of phases keeps those that are stored. Schedules are planned anew in the same transaction.
    """
    from ops.cli.calendar_import import Asked, bring_in

    bring_in(Asked(file, exchange, dry_run, yes, shrink, as_, json))


@calendar.command("diff")
def diff_calendars(
    file: File,
    old: OtherFile = None,
    exchange: Exchange = "NSE",
    first: o.First = None,
    last: o.Last = None,
    json: o.Json = False,
) -> None:
    """Show where a calendar file differs from what is stored, or from another file: days, hours, phases."""
    from ops.cli.calendar_work import show_difference

    show_difference(file, old, exchange, first, last, as_json=json)
