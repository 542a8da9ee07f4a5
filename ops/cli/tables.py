"""How commands print: rows as a table or as one JSON object, moments in exchange time, ages in words."""

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from trading.calendar import exchange_time

_RIGHT = (int, float, Decimal)
_WIDE = 40
_WIDTH = 200


def console() -> Console:
    """Return the console of stdout; where no terminal says how wide it is, wide enough for a table."""
    return Console(width=None if sys.stdout.isatty() else _WIDTH)


def print_json(value: object) -> None:
    """Print one JSON object on stdout. Decimals are text, moments ISO 8601 in UTC."""
    typer.echo(json.dumps(value, default=_plain, ensure_ascii=False))


def say_done(done: Mapping[str, Any], text: str, *, as_json: bool) -> None:
    """Print what a command did: its facts and a sentence, or one JSON object."""
    if as_json:
        print_json(done)
    else:
        typer.echo(", ".join(f"{name} {said(value)}" for name, value in done.items()) + f": {text}")


def print_rows(title: str, rows: Sequence[Mapping[str, Any]], *, columns: Sequence[str] = (), empty: str = "") -> None:
    """Print rows as a table: the named columns, or all; columns that are empty everywhere are left out."""
    out = console()
    if not rows:
        out.print(f"[bold]{title}[/bold]: {empty or 'none'}", highlight=False)
        return
    names = [name for name in columns or rows[0] if any(row[name] not in (None, "") for row in rows)]
    table = Table(title=title, title_justify="left", title_style="bold")
    for name in names:
        numeric = all(
            isinstance(row[name], _RIGHT) and not isinstance(row[name], bool) for row in rows if row[name] is not None
        )
        table.add_column(
            name.replace("_", " "), justify="right" if numeric else "left", overflow="fold", max_width=_WIDE
        )
    for row in rows:
        table.add_row(*(said(row[name]) for name in names))
    out.print(table)


def print_facts(title: str, facts: Mapping[str, Any]) -> None:
    """Print one row as two columns; what is empty is left out."""
    table = Table(title=title, title_justify="left", title_style="bold", show_header=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, value in facts.items():
        if value not in (None, "", [], {}):
            table.add_row(name.replace("_", " "), said(value))
    console().print(table)


def said(value: object) -> str:
    """Return a value as people read it. Moments are in exchange time (IST)."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return exchange_time(value).strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, Decimal):
        return f"{value.normalize():,f}" if value == value.to_integral() else f"{value:,.2f}"
    if isinstance(value, float):
        return f"{value:,.3g}" if abs(value) < 1 else f"{value:,.1f}"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 100_000 else str(value)  # ids and years stay bare
    if isinstance(value, Mapping | list):
        return json.dumps(value, default=_plain, ensure_ascii=False)
    return str(value)


def age(seconds: float) -> str:
    """Return a span as people say it: 12 s, 3 min, 2 h, 4 days. One below nought is none: clocks differ a little."""
    seconds = max(seconds, 0.0)
    for size, unit in ((86_400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bytes | memoryview):
        return f"{len(bytes(value))} bytes"
    return str(value)
