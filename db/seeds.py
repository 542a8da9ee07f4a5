"""What every database starts with: the default schedules and the exchange calendar."""

from importlib.resources import files

from sqlalchemy.ext.asyncio import AsyncSession

from db.calendar import CalendarRepository
from db.schedules import ScheduleRepository
from trading.calendar_file import named_days, read_calendar

CALENDAR_FILE = "nse_calendar.csv"

# Times are relative to the session, so that evening and weekend sessions need no rule of their own. A regular session
# opens at 09:15 and closes at 15:30 IST.
DEFAULT_SCHEDULES: tuple[dict[str, str | None], ...] = tuple(
    {"name": name, "task_name": task_name, "trigger": trigger, "scope": scope, "condition": condition}
    # Of what repeats within a day a later look replaces those before it; of the rest each slot has work of its own.
    | {"catch_up": "last" if trigger.startswith("every ") else "all"}
    for name, task_name, trigger, scope, condition in (
        ("prices", "prices", "every 10m from close+15m until close+8h", "shared", "prices_missing"),
        # For a file that came in the night: the analysis and the buys still have twenty minutes.
        ("prices before open", "prices", "every 10m from open-75m until open-35m", "shared", "prices_missing"),
        ("analysis", "analysis", "close+30m", "parameters", None),
        ("buy_orders", "buy_orders", "close+35m", "account", None),
        ("premarket_retry", "premarket_retry", "open-30m", "account", "has_failed_order"),
        ("order_sync before open", "order_sync", "open-40m", "account", None),
        ("order_sync at open", "order_sync", "open", "account", None),
        ("order_sync while open", "order_sync", "every 60s while open", "account", "has_live_order"),
        ("order_sync after close", "order_sync", "close+15m", "account", None),
        ("order_sync evening", "order_sync", "close+150m", "account", None),
        ("sell_monitor", "sell_monitor", "every 60s while open", "account", "has_open_position"),
        ("position_monitor", "position_monitor", "every 1h from open+15m until close", "account", "has_open_position"),
        ("eod_cleanup", "eod_cleanup", "close+150m", "account", None),
        # Logs grow and partitions run out on days without a session too.
        ("retention", "retention", "daily at 02:00", "shared", None),
        ("housekeeping", "housekeeping", "daily at 02:00", "shared", None),
    )
)


async def seed(session: AsyncSession) -> None:
    """Store what is not there yet; what an operator changed stays. Needs the system scope."""
    await ScheduleRepository(session).seed(DEFAULT_SCHEDULES)
    text = (files("db") / CALENDAR_FILE).read_text(encoding="utf-8")
    calendars = CalendarRepository(session)
    try:
        known = await calendars.load()
    except LookupError:
        await calendars.replace(read_calendar(text), f"db/{CALENDAR_FILE}", named_days(text))
        return
    if not known.timetable.hours:  # it was stored before phases had hours
        await calendars.add_hours(known.exchange, read_calendar(text).timetable.hours)
