"""What a replay is asked to do, checked against the calendar and the data before anything is started."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from importlib.resources import files
from pathlib import Path

from adapters.prices.base import BadRow, PriceSource
from adapters.prices.registry import open_source
from db.seeds import CALENDAR_FILE
from trading.bars import Bar
from trading.calendar import Calendar, Session
from trading.calendar_file import read_calendar

SIMULATED = "simulated"
DEFAULT_SESSIONS = 60
# The newest whole year of the calendar file: the period stays the same whatever today is.
SIMULATED_LAST = date(2025, 12, 31)
HISTORY_DAYS = 5 * 365  # before a simulated period; a folder gives all it has
# A trading year: EMA200 has warmed up and a training has dips to learn from.
LEAST_HISTORY = 250

# The first slot of a day is 40 minutes before its open, the last two and a half hours after its close.
BEFORE_FIRST_OPEN = timedelta(minutes=41)
AFTER_LAST_CLOSE = timedelta(hours=3)


class ReplayError(Exception):
    """A replay that cannot be run as asked: what, where and the cure, on one line."""


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for. data: `simulated` or a folder. first, last: exchange days; None: the last 60 sessions.

    symbols: of the simulated market; None: as many as it has by itself.
    """

    data: str = SIMULATED
    first: date | None = None
    last: date | None = None
    users: int = 10
    accounts_per_user: int = 1
    seed: int = 7
    workers: int = 2
    threads: int = 4
    symbols: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """A replay that can be run.

    prices: the source's spec, as the workers read it. prices_name: the source in words. sessions: oldest first, at
    least one. history: the bars before the first session. warnings: what people should know, a line each.
    """

    request: Request
    prices: str
    prices_name: str
    sessions: Sequence[Session]
    history: Sequence[Bar]
    bad_rows: Sequence[BadRow]
    warnings: Sequence[str]

    @property
    def begins_at(self) -> datetime:
        """Market time at the start."""
        return self.sessions[0].opens - BEFORE_FIRST_OPEN

    @property
    def ends_at(self) -> datetime:
        """Market time at which nothing more becomes due."""
        return self.sessions[-1].closes + AFTER_LAST_CLOSE


def exchange_calendar() -> Calendar:
    """Return the calendar that every new database is seeded with."""
    return read_calendar((files("db") / CALENDAR_FILE).read_text(encoding="utf-8"))


async def make_plan(request: Request) -> Plan:
    """Return the plan of a request. Reads the data, which may take seconds.

    Raises ReplayError, PriceSourceError, CalendarUncovered.
    """
    calendar = exchange_calendar()
    for option, day in (("--from", request.first), ("--to", request.last)):
        if day is not None and not calendar.first <= day <= calendar.last:
            covered = f"the calendar covers {calendar.first} to {calendar.last}"
            raise ReplayError(f"{option} {day}: {covered}; choose a day in between")
    if request.first is not None and request.last is not None and request.first > request.last:
        raise ReplayError(f"--from {request.first} is after --to {request.last}; exchange the two")
    days = [session.day for session in calendar.sessions_between(calendar.first, calendar.last)]
    if request.data == SIMULATED:
        return await _simulated(request, calendar, days)
    return await _folder(request, calendar, days)


async def _simulated(request: Request, calendar: Calendar, days: Sequence[date]) -> Plan:
    spec = f"{SIMULATED}:{request.seed}" + ("" if request.symbols is None else f":{request.symbols}")
    source = open_source(spec, days)
    late = request.first is not None and request.first > SIMULATED_LAST
    sessions = _sessions(request, calendar, request.last or (calendar.last if late else SIMULATED_LAST))
    first = sessions[0].day
    history: Sequence[Bar] = ()
    if first > calendar.first:
        begin = max(calendar.first, first - timedelta(days=HISTORY_DAYS))
        history = (await source.bars(begin, first - timedelta(days=1))).bars
    return _plan(request, spec, source, sessions, history, ())


async def _folder(request: Request, calendar: Calendar, days: Sequence[date]) -> Plan:
    spec = f"folder:{_absolute(request.data)}"
    source = open_source(spec, days)
    batch = await source.bars(calendar.first, calendar.last)
    if not batch.bars:
        said = f"--data {request.data}: no bar from {calendar.first} to {calendar.last}"
        if batch.bad_rows:
            bad = batch.bad_rows[0]
            said += f" that can be used; {len(batch.bad_rows)} were refused, first {bad.file}:{bad.line}: {bad.reason}"
        raise ReplayError(f"{said}; add bars of those days")
    data_first, data_last = min(bar.day for bar in batch.bars), max(bar.day for bar in batch.bars)
    for option, day in (("--from", request.first), ("--to", request.last)):
        if day is not None and not _reaches(calendar, data_last, day):
            raise ReplayError(f"{option} {day}: the data ends on {data_last}; choose that day or an earlier one")
    sessions = _sessions(request, calendar, request.last or data_last)
    if sessions[0].day <= data_first:
        asked = f"--from {request.first}" if request.first else f"the {len(sessions)} sessions to {sessions[-1].day}"
        raise ReplayError(f"{asked}: the data begins on {data_first}; begin later, with history before it")
    history = [bar for bar in batch.bars if bar.day < sessions[0].day]
    return _plan(request, spec, source, sessions, history, batch.bad_rows)


def _reaches(calendar: Calendar, data_last: date, day: date) -> bool:
    """Tell whether no session after the end of the data is asked for: `day` may be the holiday that follows it."""
    return not calendar.sessions_between(data_last + timedelta(days=1), day)


def _absolute(path: str) -> Path:
    """Return the path as processes with another working folder need it."""
    return Path(path).expanduser().resolve()


def _sessions(request: Request, calendar: Calendar, last: date) -> Sequence[Session]:
    """Return the sessions asked for: those of the range, or the newest ones up to its end."""
    if request.first is None:
        return calendar.sessions_between(calendar.first, last)[-DEFAULT_SESSIONS:]
    sessions = calendar.sessions_between(request.first, last) if request.first <= last else ()
    if not sessions:
        raise ReplayError(f"--from {request.first} --to {last}: no session in between; choose a longer period")
    return sessions


def _plan(
    request: Request,
    spec: str,
    source: PriceSource,
    sessions: Sequence[Session],
    history: Sequence[Bar],
    bad_rows: Sequence[BadRow],
) -> Plan:
    depth = len({bar.day for bar in history})
    warnings = []
    if depth < LEAST_HISTORY:
        warnings.append(
            f"only {depth} sessions of history before {sessions[0].day}: averages of 200 days and the training need "
            f"{LEAST_HISTORY}; begin later"
        )
    return Plan(request, spec, source.name, sessions, history, bad_rows, warnings)
