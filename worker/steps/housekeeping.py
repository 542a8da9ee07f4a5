"""Keeps the platform itself in order: room for the days ahead, and a nightly look at what must always hold."""

from collections.abc import Sequence
from datetime import date, timedelta

import structlog

from db.calendar import CalendarRepository
from db.executions import Execution, ServiceTaskRepository
from db.halts import HaltRepository
from db.invariants import Finding, check
from db.notifications import Notice
from db.partitions import PartitionRepository
from db.users import UserRepository
from trading.calendar import Calendar, exchange_day
from trading.coverage import COVERAGE_AHEAD
from worker.outcome import Json, Outcome, done
from worker.resources import Resources
from worker.steps.notices import tell

PARTITIONS_AHEAD_DAYS = 35
CALENDAR_URGENT = timedelta(days=7)

log = structlog.get_logger(__name__)


async def housekeeping(resources: Resources, execution: Execution) -> Outcome:
    """Make partitions ahead, check what must always hold, and tell administrators what does not."""
    async with resources.database.transaction(None) as session:
        today = exchange_day(await ServiceTaskRepository(session).fence(execution))
        made = await PartitionRepository(session).make_ahead(PARTITIONS_AHEAD_DAYS)
        await HaltRepository(session).expire()
    async with resources.database.reading(None) as session:
        findings = await check(session)
        calendar = await CalendarRepository(session).load()  # a process may be older than the newest list
    left = calendar.last - today
    for one in findings:
        log.error("invariant_broken", invariant=one.name, rows_found=one.count, first=_plain(one)["first"])
    if left < COVERAGE_AHEAD:
        log.warning("calendar_ends", last_day=calendar.last, days_left=left.days)
    async with resources.database.transaction(None) as session:
        await ServiceTaskRepository(session).fence(execution)
        admins = await UserRepository(session).admins()
        await tell(
            session, execution, [one for user_id in admins for one in _notices(user_id, findings, calendar, today)]
        )
    return done(
        partitions_made=made,
        findings=[_plain(one) for one in findings],
        calendar_days_left=left.days,
        administrators=len(admins),
    )


def _notices(user_id: int, findings: Sequence[Finding], calendar: Calendar, today: date) -> list[Notice]:
    """Return what an administrator is told; each thing once a day, as long as it is so."""
    notices = [_broken(user_id, one, today) for one in findings]
    left = calendar.last - today
    if left < COVERAGE_AHEAD:
        message = (
            f"The calendar of {calendar.exchange} ends on {calendar.last}, {left.days} days from now, and then "
            "nothing trades: load the exchange's next list with `muhurat calendar import`"
        )
        level = "warning" if left > CALENDAR_URGENT else "error" if left > timedelta() else "critical"
        title = "The exchange calendar ends soon" if left > timedelta() else "The exchange calendar has ended"
        notices.append(
            Notice(user_id, "system_warning", level, title, message, f"calendar:{calendar.exchange}:{today}")
        )
    return notices


def _broken(user_id: int, finding: Finding, today: date) -> Notice:
    message = f"{finding.sentence} ({finding.count} found; the first: {_plain(finding)['first']})"[:1024]
    title = f"What must always hold does not: {finding.name}"
    return Notice(user_id, "system_error", "critical", title, message, f"invariant:{finding.name}:{today}")


def _plain(finding: Finding) -> dict[str, Json]:
    first = ", ".join(f"{name} {value}" for name, value in finding.rows[0].items())
    return {"name": finding.name, "rows": finding.count, "first": first}
