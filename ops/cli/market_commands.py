"""`muhurat calendar` and `muhurat prices`: which days trade, and which bars are there."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ops.cli import options as o

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trading.calendar import Calendar
    from trading.calendar_file import NamedDay

calendar = typer.Typer(no_args_is_help=True, help="The exchange calendar: sessions, holidays, special hours.")
prices = typer.Typer(no_args_is_help=True, help="Daily bars: what is loaded, and loading more.")

_SATURDAY = 5
_RECENT_SESSIONS = 30


@calendar.command("show")
def show_calendar(first: o.First = None, last: o.Last = None, json: o.Json = False) -> None:
    """Show coverage, and every day of a span (this year when not given) that is not a regular weekday session."""
    from db.calendar import CalendarRepository
    from ops.cli.reach import reading
    from ops.cli.tables import print_json, print_rows

    async def look(session: Any) -> "tuple[Calendar, dict[date, NamedDay]]":
        rows = CalendarRepository(session)
        known = await rows.load()
        return known, await rows.days(known.first, known.last)

    known, named = reading(look)
    begins, ends = _span(known, first, last, exchange_today())
    days = _unusual(known, named, begins, ends)
    found = {"exchange": known.exchange, "first": known.first, "last": known.last, "from": begins, "to": ends}
    sessions = len(known.sessions_between(begins, ends))
    if json:
        print_json({**found, "sessions": sessions, "unusual": days})
        return
    typer.echo(f"{known.exchange}, covered {known.first} to {known.last}; {sessions} sessions {begins} to {ends}")
    print_rows("Days that are not as usual (times in IST)", days)


@calendar.command("import")
def import_calendar(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A file like db/nse_calendar.csv.")],
    as_: o.As = None,
    json: o.Json = False,
) -> None:
    """Put a calendar file in place of the one there is. Nothing changes when a line of it cannot be used."""
    from db.audit_logs import AuditLogRepository
    from db.calendar import EXCHANGE, CalendarRepository
    from ops.cli.reach import changing
    from ops.cli.tables import say_done
    from trading.calendar_file import named_days, read_calendar

    text = _text_of(file)
    imported = read_calendar(text)
    if imported.exchange != EXCHANGE:
        raise typer.BadParameter(f"{file} is of {imported.exchange}: give the calendar of {EXCHANGE}")

    async def replace(session: Any, actor: str) -> dict[str, Any]:
        rows = CalendarRepository(session)
        before = await rows.load()
        await rows.replace(imported, file.name, named_days(text))
        done = {"sessions": len(imported), "first": imported.first, "last": imported.last, **_changed(before, imported)}
        plain = {name: str(value) for name, value in done.items()}
        await AuditLogRepository(session).record(actor, "update", "calendar", changes=plain)
        return done

    say_done(changing(as_, replace), "schedulers and workers take it with their next slot and claim", as_json=json)


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
    _check_order(begins, ends)
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


def _text_of(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise typer.BadParameter(f"{file}, line {line}, is no UTF-8 text: save the file as UTF-8") from None


def _say_loaded(done: dict[str, Any]) -> None:
    typer.echo(f"{done['bars']} bars of {done['symbols']} symbols, {done['first_day']} to {done['last_day']}")
    for row in done["bad_rows"]:
        typer.echo(f"left out: {row}")


def _span(known: "Calendar", first: datetime | None, last: datetime | None, today: date) -> tuple[date, date]:
    """Return the days to show. Raises CalendarUncovered for a first day that no calendar is loaded for."""
    year = (last.date() if last else today).year
    begins = first.date() if first else max(known.first, date(year, 1, 1))
    known.is_session(begins)
    ends = last.date() if last else min(known.last, date(begins.year, 12, 31))
    _check_order(begins, ends)
    return begins, ends


def _check_order(first: date, last: date) -> None:
    if first > last:
        raise typer.BadParameter(f"{first} is after {last}: give --from and --to in order")


def _unusual(known: "Calendar", named: "Mapping[date, NamedDay]", first: date, last: date) -> list[dict[str, Any]]:
    """Return the closed weekdays and the special sessions of a span, each with its name where it has one."""
    found: list[dict[str, Any]] = []
    for number in range((last - first).days + 1):
        day = first + timedelta(days=number)
        session = known.session(day)
        about = {"day": day, "weekday": f"{day:%a}", "name": named[day].name if day in named else None}
        if session is None and day.weekday() < _SATURDAY:
            found.append({**about, "kind": "closed", "opens": None, "closes": None})
        elif session is not None and session.kind != "regular":
            found.append({**about, "kind": session.kind, "opens": session.opens, "closes": session.closes})
    return found


def _changed(before: "Calendar", after: "Calendar") -> dict[str, Any]:
    """Return how many sessions came, went or have other hours."""
    old = {one.day: one for one in before.sessions_between(before.first, before.last)}
    new = {one.day: one for one in after.sessions_between(after.first, after.last)}
    moved = sum(old[day] != new[day] for day in old.keys() & new.keys())
    return {"added": len(new.keys() - old.keys()), "removed": len(old.keys() - new.keys()), "other_hours": moved}
