"""How a user wants to be told: channels, quiet hours, and which events. One source of the defaults."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import time
from typing import Any

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, MappedColumn, mapped_column

from db.base import Base, Big, Created, Id, Label, Name, Phrase, user_scoped

QUIET = ("quiet_hours_start", "quiet_hours_end")
_TEXTS = {"telegram_chat_id": 64, "telegram_bot_token": 128, "email_address": 255}


class PreferenceError(ValueError):
    """A change that cannot be kept: the field, the value and the cure. A token is not repeated."""

    def __init__(self, name: str, value: object, cure: str) -> None:
        self.name, self.value, self.cure = name, value, cure
        super().__init__(f"{name} = {'...' if name == 'telegram_bot_token' else value!r}: {cure}")


@dataclass(frozen=True, slots=True)
class Preferences:
    """One user's wishes; as they stand here for who has none. Quiet hours: exchange time, both ends included."""

    telegram_enabled: bool = False
    telegram_chat_id: str | None = None
    telegram_bot_token: str | None = field(default=None, repr=False)
    email_enabled: bool = False
    email_address: str | None = None
    in_app_enabled: bool = True
    notify_service_events: bool = True
    notify_trading_events: bool = True
    notify_system_events: bool = True
    notify_errors: bool = True
    quiet_hours_start: time | None = None
    quiet_hours_end: time | None = None
    notify_order_placed: bool = True
    notify_order_rejected: bool = True
    notify_order_executed: bool = True
    notify_order_cancelled: bool = True
    notify_order_modified: bool = True
    notify_retry_queue_added: bool = True
    notify_retry_queue_updated: bool = True
    notify_retry_queue_removed: bool = True
    notify_retry_queue_retried: bool = True
    notify_partial_fill: bool = True
    notify_balance_shortfall: bool = True
    notify_system_errors: bool = True
    notify_system_warnings: bool = False
    notify_system_info: bool = False
    notify_service_started: bool = False
    notify_service_stopped: bool = False
    notify_service_execution_completed: bool = False


DEFAULT_PREFERENCES = Preferences()
FIELDS = tuple(one.name for one in fields(Preferences))


def _flag(name: str) -> MappedColumn[Any]:
    return mapped_column(server_default=str(getattr(DEFAULT_PREFERENCES, name)).lower())


@user_scoped
class PreferencesRow(Base):
    """One user's channels, quiet hours (exchange time) and the events that reach them."""

    __tablename__ = "user_notification_preferences"

    id: Mapped[Id]
    user_id: Mapped[Big] = mapped_column(ForeignKey("users.id"), unique=True)
    telegram_enabled: Mapped[bool] = _flag("telegram_enabled")
    telegram_chat_id: Mapped[Name | None]
    telegram_bot_token: Mapped[Phrase | None]
    email_enabled: Mapped[bool] = _flag("email_enabled")
    email_address: Mapped[Label | None]
    in_app_enabled: Mapped[bool] = _flag("in_app_enabled")
    notify_service_events: Mapped[bool] = _flag("notify_service_events")
    notify_trading_events: Mapped[bool] = _flag("notify_trading_events")
    notify_system_events: Mapped[bool] = _flag("notify_system_events")
    notify_errors: Mapped[bool] = _flag("notify_errors")
    quiet_hours_start: Mapped[time | None]
    quiet_hours_end: Mapped[time | None]
    notify_order_placed: Mapped[bool] = _flag("notify_order_placed")
    notify_order_rejected: Mapped[bool] = _flag("notify_order_rejected")
    notify_order_executed: Mapped[bool] = _flag("notify_order_executed")
    notify_order_cancelled: Mapped[bool] = _flag("notify_order_cancelled")
    notify_order_modified: Mapped[bool] = _flag("notify_order_modified")
    notify_retry_queue_added: Mapped[bool] = _flag("notify_retry_queue_added")
    notify_retry_queue_updated: Mapped[bool] = _flag("notify_retry_queue_updated")
    notify_retry_queue_removed: Mapped[bool] = _flag("notify_retry_queue_removed")
    notify_retry_queue_retried: Mapped[bool] = _flag("notify_retry_queue_retried")
    notify_partial_fill: Mapped[bool] = _flag("notify_partial_fill")
    notify_balance_shortfall: Mapped[bool] = _flag("notify_balance_shortfall")
    notify_system_errors: Mapped[bool] = _flag("notify_system_errors")
    notify_system_warnings: Mapped[bool] = _flag("notify_system_warnings")
    notify_system_info: Mapped[bool] = _flag("notify_system_info")
    notify_service_started: Mapped[bool] = _flag("notify_service_started")
    notify_service_stopped: Mapped[bool] = _flag("notify_service_stopped")
    notify_service_execution_completed: Mapped[bool] = _flag("notify_service_execution_completed")
    created_at: Mapped[Created]
    updated_at: Mapped[Created]

    def value(self) -> Preferences:
        """Return the preferences as a value."""
        return Preferences(**{name: getattr(self, name) for name in FIELDS})


def check_changes(before: Preferences, changes: Mapping[str, object]) -> dict[str, Any]:
    """Return changes that fit together with what stays, quiet hours as times. Raises PreferenceError."""
    values = {name: _checked(name, value) for name, value in changes.items()}
    start, end = (values.get(name, getattr(before, name)) for name in QUIET)
    if (start is None) != (end is None):
        missing = QUIET[0] if start is None else QUIET[1]
        raise PreferenceError(missing, None, f"quiet hours need both {QUIET[0]} and {QUIET[1]}, or neither")
    return values


def _checked(name: str, value: object) -> object:
    if name not in FIELDS:
        raise PreferenceError(name, value, f"no such preference; use one of {', '.join(FIELDS)}")
    if name in QUIET:
        return _clock(name, value)
    if name in _TEXTS:
        if value is not None and (not isinstance(value, str) or len(value) > _TEXTS[name]):
            raise PreferenceError(name, value, f"use a text of at most {_TEXTS[name]} characters, or null")
    elif not isinstance(value, bool):
        raise PreferenceError(name, value, "use true or false")
    return value


def _clock(name: str, value: object) -> time | None:
    try:
        clock = time.fromisoformat(value) if isinstance(value, str) else value
    except ValueError as error:
        raise PreferenceError(name, value, "use exchange time such as 22:00, or null") from error
    if clock is not None and (not isinstance(clock, time) or clock.tzinfo is not None):
        raise PreferenceError(name, value, "use exchange time such as 22:00, or null")
    return clock
