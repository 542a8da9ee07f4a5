"""How many executions a span makes: `muhurat schedules simulate`, as a picture or as JSON."""

from datetime import date, datetime, timedelta
from typing import Any

import typer
from rich.console import Console
from sqlalchemy.ext.asyncio import AsyncSession

from db.calendar import CalendarRepository
from db.schedule_looks import ScheduleLookRepository
from db.transaction import Database
from ops.cli import schedule_options as s
from ops.cli.reach import with_database
from ops.cli.schedule_looks import Ground, definition_or_none, find, ground_of, held_span
from ops.cli.tables import console, print_json, print_rows
from ops.schedules.chart import picture
from ops.schedules.load import Loaded, Simulation
from ops.schedules.load import simulate as simulated
from trading.calendar import exchange_day
from worker.messages import TASKS

_LONGEST = timedelta(days=400)


def simulate(schedule: str | None, first: str | None, last: str | None, *, as_json: bool) -> None:
    """Print the load of a span, from market now for a day when nothing is said."""
    begins, ends = s.begin("--from", first), s.end("--to", last)
    made, named, ground = with_database(lambda database: _simulated(database, schedule, begins, ends))
    if as_json:
        print_json(_as_json(made, ground))
        return
    out = console()
    out.print(picture(made, out.width, named))
    rows = [
        {"schedule": one.schedule, "queue": one.queue, "slots": one.slots, "executions": one.executions,
         "at_most": f"if {one.condition.replace('_', ' ')}" if one.condition else None}
        for one in sorted(made.lines, key=lambda one: -one.executions) if one.slots
    ]  # fmt: skip
    print_rows("By schedule", rows, empty="nothing fires in this span")


async def _simulated(
    database: Database, schedule: str | None, begins: datetime | None, ends: datetime | None
) -> tuple[Simulation, dict[date, str], Ground]:
    async with database.reading(None) as session:
        ground = await ground_of(session)
        first = begins or ground.now
        last = ends or first + timedelta(days=1)
        if last <= first:
            raise typer.BadParameter("--to is not after --from: give them in order")
        if last - first > _LONGEST:
            raise typer.BadParameter(f"--to: at most {_LONGEST.days} days are simulated at once")
        with Console(stderr=True).status("Counting subscribers") as screen:
            loaded = await _loaded(session, schedule, first, last, ground.now, screen)
        named = await _named(session, ground, first, last)
    made = Simulation(first, last)
    with Console(stderr=True).status("Planning"):
        for exchange, some in loaded.items():
            if exchange in ground.calendars:
                made.add(simulated(some, ground.calendars[exchange], first, last, ground.daily_bars))
    return made, named, ground


async def _loaded(
    session: AsyncSession, schedule: str | None, first: datetime, last: datetime, now: datetime, screen: Any
) -> dict[str, list[Loaded]]:
    """Return the schedules that are on by exchange, each by one count of its subscribers."""
    looks = ScheduleLookRepository(session)
    rows = [await find(session, schedule)] if schedule is not None else await looks.all()
    found: dict[str, list[Loaded]] = {}
    for number, row in enumerate(rows, start=1):
        screen.update(f"Counting subscribers: schedule {number} of {len(rows)}")
        definition = definition_or_none(row)
        if definition is not None and row.enabled and row.task_name in TASKS:
            loads, queue = await looks.loads(row, first, last), TASKS[row.task_name].queue
            found.setdefault(row.exchange, []).append(Loaded(definition, queue, loads, row.runs, held_span(row, now)))
    return found


async def _named(session: AsyncSession, ground: Ground, first: datetime, last: datetime) -> dict[date, str]:
    """Return the days with names of the first exchange, for the map; a day alone needs none."""
    for exchange in ground.calendars:
        days = await CalendarRepository(session).days(exchange_day(first), exchange_day(last), exchange)
        return {day: one.name for day, one in days.items()}
    return {}


def _as_json(made: Simulation, ground: Ground) -> dict[str, Any]:
    peak = made.peak
    return {
        "market_now": ground.now,
        "from": made.first,
        "to": made.last,
        "executions": made.total,
        "peak": {"minute": peak[0], "executions": peak[1]} if peak is not None else None,
        "queues": made.queues(),
        "schedules": [
            {"name": one.schedule, "queue": one.queue, "slots": one.slots, "executions": one.executions,
             "condition": one.condition}
            for one in made.lines
        ],
        "minutes": [{"minute": minute, **queues} for minute, queues in made.minutes.items()],
    }  # fmt: skip
