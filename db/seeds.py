"""What every database starts with: the default schedules and the exchange calendar."""

from importlib.resources import files

from sqlalchemy.ext.asyncio import AsyncSession

from db.calendar import CalendarRepository
from db.schedules import ScheduleRepository
from trading.calendar_file import read_calendar

CALENDAR_FILE = "nse_calendar.csv"

# Times are relative to the session, so that evening and weekend sessions need no rule of their own. A regular session
# opens at 09:15 and closes at 15:30 IST.
DEFAULT_SCHEDULES: tuple[dict[str, str | None], ...] = (
    {"name": "prices", "task_name": "prices", "trigger": "every 10m from close+15m until close+5h", "scope": "shared", "condition": "prices_missing"},
    {"name": "analysis", "task_name": "analysis", "trigger": "close+30m", "scope": "parameters", "condition": None},
    {"name": "buy_orders", "task_name": "buy_orders", "trigger": "close+35m", "scope": "account", "condition": None},
    {"name": "order_sync before open", "task_name": "order_sync", "trigger": "open-40m", "scope": "account", "condition": None},
    {"name": "order_sync at open", "task_name": "order_sync", "trigger": "open", "scope": "account", "condition": None},
    {"name": "order_sync while open", "task_name": "order_sync", "trigger": "every 60s while open", "scope": "account", "condition": "has_live_order"},
    {"name": "order_sync after close", "task_name": "order_sync", "trigger": "close+15m", "scope": "account", "condition": None},
    {"name": "order_sync evening", "task_name": "order_sync", "trigger": "close+150m", "scope": "account", "condition": None},
    {"name": "sell_monitor", "task_name": "sell_monitor", "trigger": "every 60s while open", "scope": "account", "condition": "has_open_position"},
)  # fmt: skip


async def seed(session: AsyncSession) -> None:
    """Store what is not there yet; what an operator changed stays. Needs the system scope."""
    await ScheduleRepository(session).seed(DEFAULT_SCHEDULES)
    try:
        await CalendarRepository(session).load()
    except LookupError:
        text = (files("db") / CALENDAR_FILE).read_text(encoding="utf-8")
        await CalendarRepository(session).replace(read_calendar(text), f"db/{CALENDAR_FILE}")
