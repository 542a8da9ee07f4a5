"""Looks everything over that a healthy installation needs, and says what, where and the cure."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import redis.asyncio
from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from config.servers import ServerUrls, hide_password
from db.bars import BarRepository
from db.calendar import CalendarRepository
from db.engine import DatabaseError, check_database, check_role
from db.halts import HaltRepository
from db.invariants import Finding, check
from db.partitions import PARTITIONED
from db.transaction import Database
from migrations.run import head
from trading.calendar import Calendar, exchange_day
from trading.calendar_check import phase_fault, validity_fault
from trading.coverage import coverage_warning
from trading.errors import CalendarUncovered

OLDEST_POSTGRES, OLDEST_REDIS = 150_000, (6, 2)
# What one process opens at most: by default 5 to Postgres (3 its supervisor or the scheduler) and 4 to Redis.
POSTGRES_EACH, REDIS_EACH = 5, 4
LARGEST_SHARE = 0.8
LARGEST_SKEW_SECONDS = 2.0
PARTITIONS_AHEAD = timedelta(days=7)
REDIS_SECONDS = 2.0
# Who halts something for longer names its end.
FORGOTTEN, MOST_HALTS = timedelta(days=7), 1000


@dataclass(frozen=True, slots=True)
class Check:
    """One look. state: ok, warning or failed. said: what was found, with the cure. rows: those it was found by."""

    name: str
    state: str
    said: str
    rows: Sequence[Mapping[str, Any]] = ()


async def examine(database: Database, urls: ServerUrls, clock: Callable[[], datetime]) -> list[Check]:
    """Return every check, in the order in which a cure is worth trying. Redis may be away; Postgres may not.

    clock: returns this machine's time.
    """
    found = [await _schema(database)]
    if found[0].state == "failed":
        return [*found, await _redis(urls.redis, 0)]
    async with database.reading(None) as session:
        processes = await _processes(session)
        looks: tuple[Callable[[AsyncSession], Awaitable[list[Check]]], ...] = (
            _postgres, _partitions, _calendar, _prices, _halts, _invariants,
        )  # fmt: skip
        for look in looks:
            found += await look(session)
        found[2:2] = [await _connections(session, processes), await _clock(session, clock)]
    return [*found, await _redis(urls.redis, processes)]


async def _schema(database: Database) -> Check:
    try:
        await check_role(database.engine)
        await check_database(database.engine, head())
    except DatabaseError as error:
        return Check("schema", "failed", str(error))
    return Check("schema", "ok", f"at {head()}; the role sees only what row-level security shows it")


async def _postgres(session: AsyncSession) -> list[Check]:
    number = int((await session.execute(text("SHOW server_version_num"))).scalar_one())
    if number < OLDEST_POSTGRES:
        return [Check("postgres", "failed", f"version {number // 10000}: 15 or newer is needed")]
    return [Check("postgres", "ok", f"version {number // 10000}.{number % 10000}")]


async def _processes(session: AsyncSession) -> int:
    query = text(
        "SELECT (SELECT count(*) FROM worker_processes WHERE ended_at IS NULL AND lease_until > now()) "
        "+ (SELECT count(*) FROM scheduler_processes WHERE stopped_at IS NULL AND seen_at > now() - interval '1 min')"
    )
    return int((await session.execute(query)).scalar_one())


async def _connections(session: AsyncSession, processes: int) -> Check:
    most = int((await session.execute(text("SHOW max_connections"))).scalar_one())
    needed = processes * POSTGRES_EACH
    said = f"{processes} processes may open {needed} of {most} connections"
    if needed > LARGEST_SHARE * most:
        return Check("connections", "warning", f"{said}: run fewer processes, or put a pooler in front")
    return Check("connections", "ok", said)


async def _clock(session: AsyncSession, clock: Callable[[], datetime]) -> Check:
    before = clock()
    there: datetime = (await session.execute(text("SELECT clock_timestamp()"))).scalar_one()
    # Whatever the way there and back took is no difference.
    skew = max((before - there).total_seconds(), (there - clock()).total_seconds(), 0.0)
    if skew > LARGEST_SKEW_SECONDS:
        said = f"this machine and Postgres differ by {skew:.1f} s: set both by NTP; leases use Postgres's clock alone"
        return Check("clock", "warning", said)
    return Check("clock", "ok", f"this machine and Postgres differ by {skew:.2f} s")


async def _today(session: AsyncSession) -> date:
    today: date = (await session.execute(text("SELECT now()::date"))).scalar_one()
    return today


async def _partitions(session: AsyncSession) -> list[Check]:
    query = text("SELECT count(*) FROM pg_inherits WHERE inhparent = CAST(:table AS regclass)")
    last = text(
        "SELECT max(to_date(right(c.relname, 8), 'YYYYMMDD')) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
        "WHERE i.inhparent = CAST(:table AS regclass)"
    )
    wanted = await _today(session) + PARTITIONS_AHEAD
    short = []
    for one in PARTITIONED:
        until = (await session.execute(last, {"table": one.table})).scalar_one()
        span = timedelta(days=31 if one.step == "month" else 7)
        if until is None or until + span < wanted:
            short.append(one.table)
    if short:
        cure = "run `muhurat migrate`, and keep a scheduler running"
        return [Check("partitions", "failed", f"{', '.join(short)} end within a week: {cure}")]
    counts = [str((await session.execute(query, {"table": one.table})).scalar_one()) for one in PARTITIONED]
    return [Check("partitions", "ok", f"made ahead ({', '.join(counts)} of {len(PARTITIONED)} tables)")]


async def _calendar(session: AsyncSession) -> list[Check]:
    calendars = CalendarRepository(session)
    now: datetime = (await session.execute(text("SELECT now()"))).scalar_one()
    found = [_of_calendar(await calendars.load(exchange), now) for exchange in await calendars.exchanges()]
    return found or [Check("calendar", "failed", "none is loaded: run 'muhurat migrate' or 'muhurat calendar import'")]


def _of_calendar(calendar: Calendar, now: datetime) -> Check:
    hours = calendar.timetable.hours
    said = f"{calendar.exchange}: covers {calendar.first} to {calendar.last}"
    if warning := coverage_warning(calendar, now):
        return Check("calendar", "warning" if exchange_day(now) <= calendar.last else "failed", f"{said}; {warning}")
    if fault := validity_fault(hours, calendar.first, calendar.last) or phase_fault(calendar):
        cure = f"{fault.cure}, and load the file again with `muhurat calendar import`"
        return Check("calendar", "failed", f"{said}; {fault.problem}: {cure}")
    return Check("calendar", "ok", said)


async def _prices(session: AsyncSession) -> list[Check]:
    now: datetime = (await session.execute(text("SELECT market_now()"))).scalar_one()
    whole = await BarRepository(session).last_whole_day()
    try:
        calendar = await CalendarRepository(session).load()
        expected = calendar.previous_session(exchange_day(now)).day
    except (CalendarUncovered, LookupError) as error:
        return [Check("prices", "warning", str(error))]
    if whole is None:
        return [Check("prices", "warning", "no day is loaded: set MUHURAT_PRICES, or `muhurat prices load`")]
    if whole < expected:
        return [Check("prices", "warning", f"whole until {whole}, expected {expected}: see `muhurat prices status`")]
    return [Check("prices", "ok", f"whole until {whole}")]


async def _halts(session: AsyncSession) -> list[Check]:
    """Tell of halts that somebody may have forgotten."""
    halts = await HaltRepository(session).listed(MOST_HALTS)
    old = [row for row in halts if row["age_seconds"] > FORGOTTEN.total_seconds()]
    if old:
        days = timedelta(seconds=old[-1]["age_seconds"]).days
        first = f"halt {old[-1]['id']} stands for {days} days: {old[-1]['reason']}"
        said = f"{len(old)} older than a week; {first}: end what is forgotten with `muhurat resume`"
        return [Check("halts", "warning", said)]
    return [Check("halts", "ok", f"{len(halts)} in force" if halts else "nothing is halted")]


async def _invariants(session: AsyncSession) -> list[Check]:
    began = time.perf_counter()
    findings = await check(session)
    if not findings:
        return [Check("invariants", "ok", f"all hold ({time.perf_counter() - began:.1f} s)")]
    return [_broken(one) for one in findings]


def _broken(finding: Finding) -> Check:
    first = ", ".join(f"{name} {value}" for name, value in finding.rows[0].items())
    said = f"{finding.sentence} ({finding.count} found; the first: {first})"
    return Check(finding.name, "failed", said, finding.rows)


async def _redis(url: str, processes: int) -> Check:
    client = redis.asyncio.Redis.from_url(url, socket_timeout=REDIS_SECONDS, socket_connect_timeout=REDIS_SECONDS)
    try:
        facts: dict[str, Any] = await client.info()
    except (RedisError, OSError) as error:
        said = f"{hide_password(str(error))}: nothing is lost, but nothing is rung either; start it, check REDIS_URL"
        return Check("redis", "failed", said)
    finally:
        await client.aclose()
    return _judge_redis(facts, processes)


def _judge_redis(facts: dict[str, Any], processes: int) -> Check:
    version = str(facts.get("redis_version", "0.0"))
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST_REDIS:
        return Check("redis", "failed", f"version {version}: 6.2 or newer is needed")
    policy, most = facts.get("maxmemory_policy", "noeviction"), int(facts.get("maxclients", 10_000))
    if policy != "noeviction" and int(facts.get("maxmemory", 0)):
        return Check("redis", "warning", f"it may evict messages ({policy}): set maxmemory-policy to noeviction")
    needed = processes * REDIS_EACH
    if needed > LARGEST_SHARE * most:
        return Check("redis", "warning", f"{processes} processes may open {needed} of {most} connections: run fewer")
    return Check("redis", "ok", f"version {version}; {needed} of {most} connections may be opened")
