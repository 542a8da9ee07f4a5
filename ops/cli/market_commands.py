"""`muhurat prices`: which bars are there, and loading more."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from ops.cli import options as o

prices = typer.Typer(no_args_is_help=True, help="Daily bars: what is loaded, and loading more.")

_RECENT_SESSIONS = 30


@prices.command("status")
def show_prices(json: o.Json = False) -> None:
    """Show which days have bars, what the last sessions lack, and symbols that have gone silent."""
    from db.bars import BarRepository
    from db.calendar import CalendarRepository
    from ops.cli.reach import reading
    from ops.cli.tables import print_json, print_rows

    async def look(session: Any) -> dict[str, Any]:
        bars, known = BarRepository(session), await CalendarRepository(session).load()
        coverage = await bars.coverage()
        whole = coverage["last_whole_day"]
        if whole is None:
            return {**coverage, "recent": [], "missing_days": [], "stale": []}
        span = known.sessions_between(max(known.first, whole - timedelta(days=90)), whole)[-_RECENT_SESSIONS:]
        recent = await bars.days_since(span[0].day)
        there = {row["day"] for row in recent}
        missing = [one.day for one in span if one.day not in there]
        return {**coverage, "recent": recent, "missing_days": missing, "stale": await bars.stale(whole)}

    found = reading(look)
    if json:
        print_json(found)
        return
    if found["last_day"] is None:
        typer.echo("no bars are loaded: `muhurat prices load PATH`, or let the prices task run")
        return
    typer.echo(
        f"{found['days']} days, {found['first_day']} to {found['last_day']}; the last whole day is "
        f"{found['last_whole_day']}; {len(found['missing_days'])} of the last sessions have none; "
        f"{len(found['stale'])} symbols have no bar on the last whole day"
    )
    print_rows("Last days (times in IST)", found["recent"][-10:])
    print_rows("Silent symbols", found["stale"][:10])


@prices.command("load")
def load_prices(
    source: Annotated[
        str, typer.Argument(metavar="PATH|SPEC", help="A folder of bar files, or a spec like simulated:7.")
    ],
    first: o.First = None,
    last: o.Last = None,
    as_: o.As = None,
    json: o.Json = False,
) -> None:
    """Load daily bars; those of the same symbol and day are replaced, so running it again changes nothing."""
    from ops.cli.reach import operator_named, with_database
    from ops.cli.tables import print_json
    from ops.price_load import NoBarsError, load

    actor = operator_named(as_)
    ends = last.date() if last else exchange_today()
    begins = first.date() if first else ends - timedelta(days=5 * 365)
    check_order(begins, ends)
    spec = source if ":" in source and not Path(source).exists() else f"folder:{source}"
    done = with_database(lambda database: load(database, spec, begins, ends, actor))
    if json:
        print_json(done)
    else:
        _say_loaded(done)
    if not done["bars"]:
        raise NoBarsError(spec, begins, ends)


def exchange_today() -> date:
    """Return the exchange's date, wherever the machine stands."""
    from trading.calendar import exchange_day

    return exchange_day(datetime.now(UTC))


def _say_loaded(done: dict[str, Any]) -> None:
    typer.echo(f"{done['bars']} bars of {done['symbols']} symbols, {done['first_day']} to {done['last_day']}")
    for row in done["bad_rows"]:
        typer.echo(f"left out: {row}")


def check_order(first: date, last: date) -> None:
    """Refuse a span that ends before it begins. Raises typer.BadParameter."""
    if first > last:
        raise typer.BadParameter(f"{first} is after {last}: give --from and --to in order")
