"""Which channels carry a notification to its user. Pure; the row itself is stored whatever is decided here."""

from datetime import datetime, time
from enum import StrEnum

from db.preferences import Preferences
from trading.calendar import exchange_time

IN_APP = "in_app"
CHANNELS = (IN_APP, "telegram", "email")
# What a channel needs to be delivered through; the others are chosen by users before they exist here.
AVAILABLE = frozenset({IN_APP})

_UMBRELLAS = {
    "service": "notify_service_events",
    "trading": "notify_trading_events",
    "system": "notify_system_events",
    "error": "notify_errors",
}
_FLAGS = {"system_error": "notify_system_errors", "system_warning": "notify_system_warnings"}


class Decision(StrEnum):
    """What becomes of a notification on one channel, in words for the record."""

    DELIVER = "deliver"
    OFF = "off"
    QUIET = "quiet hours"
    MUTED = "event switched off"
    NOT_YET = "not available yet"


def decide(channel: str, preferences: Preferences, type_: str, event: str, level: str, at: datetime) -> Decision:
    """Decide by channel, then quiet hours, then event. type_: of the notification. at: market now."""
    if not getattr(preferences, f"{channel}_enabled"):
        return Decision.OFF
    # A page in the app wakes nobody, and what is critical may wake anybody.
    if channel != IN_APP and level != "critical" and is_quiet(preferences, at):
        return Decision.QUIET
    if not is_wanted(preferences, type_, event, level):
        return Decision.MUTED
    return Decision.DELIVER if channel in AVAILABLE else Decision.NOT_YET


def is_quiet(preferences: Preferences, at: datetime) -> bool:
    """Tell whether a moment lies in the quiet hours: exchange time, whole minutes, both ends included."""
    start, end = preferences.quiet_hours_start, preferences.quiet_hours_end
    if start is None or end is None:
        return False
    local = exchange_time(at)
    clock = time(local.hour, local.minute)
    if start <= end:
        return start <= clock <= end
    return clock >= start or clock <= end  # over midnight


def is_wanted(preferences: Preferences, type_: str, event: str, level: str) -> bool:
    """Tell whether a user wants to hear of an event: its kind must be on, and its own flag if it has one.

    An event of the system that is as bad as an error goes by the flag of errors, however it is called.
    """
    worse = event.startswith("system_") and level in {"error", "critical"}
    own = _FLAGS["system_error"] if worse else _FLAGS.get(event, f"notify_{event}")
    return all(getattr(preferences, flag, True) for flag in (_UMBRELLAS[type_], own))
