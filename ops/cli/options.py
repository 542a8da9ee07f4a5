"""The options of the commands, each told once, and what none of them takes."""

from collections.abc import Collection
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

SIMULATED = "simulated"

# What Postgres keeps as bigint and as integer.
LARGEST_ID, LARGEST_INTEGER = 2**63 - 1, 2**31 - 1

_DAY = ["%Y-%m-%d"]
# Wide of any market's data, and far enough from the ends of time that a zone or a span can be reckoned with.
_FIRST_YEAR, _LAST_YEAR = 1900, 2199


def whole_number(option: str, text: str) -> int:
    """Return an id that is given as text. Raises typer.BadParameter naming the option."""
    number = int(text) if text.isdecimal() and len(text) <= len(str(LARGEST_ID)) else 0
    if not 1 <= number <= LARGEST_ID:
        raise typer.BadParameter(f"{option} {text}: give an id from 1 to {LARGEST_ID}, as the lists show them")
    return number


def known_word(option: str, value: str | None, words: Collection[str]) -> str | None:
    """Return the value if it is one of the words, or None. Raises typer.BadParameter naming them."""
    if value is not None and value not in words:
        raise typer.BadParameter(f"{option} {value!r}: use one of {', '.join(words)}")
    return value


def said_one(value: str | None) -> str | None:
    """Return a value unless it is empty. Raises typer.BadParameter."""
    # An empty variable of a script must not mean everybody.
    if value is not None and not value.strip():
        raise typer.BadParameter("it is empty: give an e-mail or id that `muhurat users` lists, or leave it out")
    return value


def _usable(value: datetime | None) -> datetime | None:
    if value is not None and not _FIRST_YEAR <= value.year <= _LAST_YEAR:
        raise typer.BadParameter(f"{value.date()} is too far away: give a year from {_FIRST_YEAR} to {_LAST_YEAR}")
    return value


Data = Annotated[
    str,
    typer.Option(
        metavar="DIR|simulated",
        help="Where bars come from: a simulated market, or a folder of CSV or Parquet files, one a symbol, with the "
        "columns date, open, high, low, close, volume.",
    ),
]
First = Annotated[
    datetime | None,
    typer.Option(
        "--from",
        formats=_DAY,
        callback=_usable,
        metavar="DAY",
        help="First day, YYYY-MM-DD. Unset: 60 sessions before the end.",
    ),
]
Last = Annotated[
    datetime | None,
    typer.Option(
        "--to",
        formats=_DAY,
        callback=_usable,
        metavar="DAY",
        help="Last day. Unset: the end of the data, simulated 2025-12-31.",
    ),
]
Day = Annotated[
    datetime | None, typer.Option(formats=_DAY, callback=_usable, metavar="DAY", help="Slots of one day, YYYY-MM-DD.")
]
Until = Annotated[
    datetime | None,
    typer.Option(
        formats=_DAY, callback=_usable, metavar="DAY", help="Learn nothing that was not known by then, YYYY-MM-DD."
    ),
]
Users = Annotated[int, typer.Option(min=1, max=1000, help="Users, each with a configuration of its own.")]
AccountsPerUser = Annotated[int, typer.Option(min=1, max=10, help="Paper accounts of each user.")]
Seed = Annotated[int, typer.Option(min=0, max=LARGEST_INTEGER, help="Of the simulated market and of the training.")]
Workers = Annotated[int, typer.Option(min=1, max=16, help="Worker processes.")]
Threads = Annotated[int, typer.Option(min=1, max=64, help="Executions at once in each worker process.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout, everything else on stderr.")]
Keep = Annotated[bool, typer.Option("--keep", help="Leave the database in .muhurat/replay until the next replay.")]
Procfile = Annotated[
    Path | None,
    typer.Option(
        help="The file that names the processes.", show_default="the one of this code", exists=True, dir_okay=False
    ),
]
As = Annotated[
    str | None,
    typer.Option("--as", envvar="MUHURAT_OPERATOR", metavar="NAME", help="Who you are; stands in the audit log."),
]
User = Annotated[
    str | None,
    typer.Option("--user", metavar="EMAIL", callback=said_one, help="One user, by e-mail or id. Unset: all."),
]
Before = Annotated[int, typer.Option(min=1, max=LARGEST_ID, metavar="ID", help="Only those before this id.")]
After = Annotated[int, typer.Option(min=0, max=LARGEST_ID, metavar="ID", help="Go on after this id.")]
Limit = Annotated[int, typer.Option(min=1, max=1000, help="How many to list.")]
