"""The options of the schedule commands, and how people write what a column holds."""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any

import typer

from ops.cli import options as o
from ops.cli import queue_options as q

NONE = "none"
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")

Schedule = Annotated[str, typer.Argument(metavar="NAME", help="A schedule, as `muhurat schedules` lists it.")]
Trigger = Annotated[
    str | None,
    typer.Option(
        metavar="TEXT",
        help='When: "at 16:05", "open-30m", "every 60s while open", "cron 0 9 * * mon-fri in Asia/Kolkata", '
        '"once 2026-12-01T10:00+05:30", "close on last session of month".',
    ),
]
Description = Annotated[str | None, typer.Option(metavar="TEXT", help="What it is for.")]
Grace = Annotated[
    str | None, typer.Option(metavar="SPAN|none", help="Later than that a slot is skipped; none: while it is useful.")
]
CatchUp = Annotated[
    str | None, typer.Option("--catch-up", metavar="none|last|all", help="Which of the slots that were missed fire.")
]
Overlap = Annotated[
    str | None,
    typer.Option(metavar="allow|skip|queue|cancel", help="What becomes of a slot whose predecessor is not over."),
]
Jitter = Annotated[str | None, typer.Option(metavar="SPAN", help="Each account's execution is late by chance so much.")]
Spread = Annotated[str | None, typer.Option(metavar="SPAN", help="A slot's executions are laid evenly over so long.")]
Useful = Annotated[
    str | None, typer.Option(metavar="SPAN|none", help="How long a slot is of use; none: as its task says.")
]
Starts = Annotated[str | None, typer.Option(metavar="TIME|none", help='No slot before, in IST: "2026-12-01 09:00".')]
Ends = Annotated[str | None, typer.Option(metavar="TIME|none", help="No slot after, in IST.")]
MaxRuns = Annotated[str | None, typer.Option("--max-runs", metavar="N|none", help="How many slots fire in all.")]
From = Annotated[str | None, typer.Option("--from", metavar="TIME", help="From when, in IST. Unset: market now.")]
To = Annotated[str | None, typer.Option("--to", metavar="TIME", help="Until when, in IST; a day alone is all of it.")]
Account = Annotated[
    int | None,
    typer.Option(min=1, max=o.LARGEST_ID, metavar="ID", help="One account that `muhurat accounts` lists. Unset: all."),
]

_WORDS = {"catch_up": ("none", "last", "all"), "overlap": ("allow", "skip", "queue", "cancel")}
_SPANS = {"grace_seconds": True, "useful_seconds": True, "jitter_seconds": False, "spread_seconds": False}


def policies(
    grace: str | None,
    catch_up: str | None,
    overlap: str | None,
    jitter: str | None,
    spread: str | None,
    useful: str | None,
    starts: str | None,
    ends: str | None,
    max_runs: str | None,
) -> dict[str, Any]:
    """Return columns as options say; what was not given is left out. Raises typer.BadParameter naming the option."""
    given = {
        "grace_seconds": grace,
        "catch_up": catch_up,
        "overlap": overlap,
        "jitter_seconds": jitter,
        "spread_seconds": spread,
        "useful_seconds": useful,
        "starts_at": starts,
        "ends_at": ends,
        "max_runs": max_runs,
    }
    return {column: _value(column, text.strip()) for column, text in given.items() if text is not None}


def _value(column: str, text: str) -> Any:
    option = f"--{column.removesuffix('_seconds').removesuffix('_at').replace('_', '-')}"
    if column in _WORDS:
        return o.known_word(option, text, _WORDS[column])
    if text == NONE and column not in ("jitter_seconds", "spread_seconds"):
        return None
    if column in _SPANS:
        return 0 if text in ("0", NONE) else int(q.span(option, text) or 0)
    if column == "max_runs":
        if not text.isdecimal() or not 1 <= int(text) <= o.LARGEST_INTEGER:
            raise typer.BadParameter(f"{option} {text}: write a number of slots such as 20, or none")
        return int(text)
    return q.moment(option, text)


def begin(option: str, text: str | None) -> datetime | None:
    """Return a moment. Raises typer.BadParameter naming the option."""
    return q.moment(option, text)


def end(option: str, text: str | None) -> datetime | None:
    """Return a moment; of a day alone, its end. Raises typer.BadParameter naming the option."""
    at = q.moment(option, text)
    return at + timedelta(days=1) if at is not None and _DAY.fullmatch((text or "").strip()) else at


def given(**columns: Any) -> Mapping[str, Any]:
    """Return the columns that were given."""
    return {name: value for name, value in columns.items() if value is not None}
