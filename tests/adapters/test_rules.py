"""Which channel carries what: the channel first, then quiet hours, then the event."""

from dataclasses import replace
from datetime import UTC, datetime, time
from typing import Any

import pytest

from adapters.notices.rules import CHANNELS, Decision, decide, is_quiet, is_wanted
from db.notifications import Notice
from db.preferences import FIELDS, Preferences

NOON = datetime(2024, 3, 5, 6, 30, tzinfo=UTC)  # 12:00 IST
NIGHT = Preferences(quiet_hours_start=time(22), quiet_hours_end=time(7))
LOUD = replace(NIGHT, telegram_enabled=True)


def at(clock: str) -> datetime:
    hours, minutes = clock.split(":")
    minute_of_day = (int(hours) * 60 + int(minutes) - 330) % 1440  # IST is 5:30 ahead
    return datetime(2024, 3, 5, *divmod(minute_of_day, 60), 59, tzinfo=UTC)


def of(
    channel: str, preferences: Preferences, event: str = "order_placed", level: str = "info", clock: str = "12:00"
) -> str:
    notice = Notice(1, event, level, "t", "m", "k")
    return decide(channel, preferences, notice.type, event, level, at(clock))


@pytest.mark.parametrize(
    ("clock", "quiet"), [("21:59", False), ("22:00", True), ("00:00", True), ("07:00", True), ("07:01", False)]
)
def test_quiet_hours_over_midnight_include_both_their_ends(clock: str, quiet: bool) -> None:
    assert is_quiet(NIGHT, at(clock)) is quiet


@pytest.mark.parametrize(("clock", "quiet"), [("12:59", False), ("13:00", True), ("14:00", True), ("14:01", False)])
def test_quiet_hours_of_a_day_are_exchange_time(clock: str, quiet: bool) -> None:
    assert is_quiet(Preferences(quiet_hours_start=time(13), quiet_hours_end=time(14)), at(clock)) is quiet


def test_without_quiet_hours_no_moment_is_quiet() -> None:
    assert not is_quiet(Preferences(), NOON)


def test_a_channel_that_is_off_stays_off_whatever_happens() -> None:
    assert of("email", NIGHT, "system_error", "critical") == Decision.OFF
    assert of("in_app", replace(NIGHT, in_app_enabled=False)) == Decision.OFF


def test_quiet_hours_come_before_the_event_and_not_before_the_channel() -> None:
    muted = replace(LOUD, notify_order_placed=False)
    assert of("telegram", muted, clock="23:00") == Decision.QUIET
    assert of("telegram", muted) == Decision.MUTED
    assert of("email", muted, clock="23:00") == Decision.OFF


def test_what_is_critical_ignores_quiet_hours() -> None:
    assert of("telegram", LOUD, "system_error", "error", "23:00") == Decision.QUIET
    assert of("telegram", LOUD, "system_error", "critical", "23:00") == Decision.NOT_YET


def test_quiet_hours_do_not_keep_anything_out_of_the_app() -> None:
    assert of("in_app", NIGHT, clock="23:00") == Decision.DELIVER


def test_a_channel_that_is_not_there_yet_says_so_instead_of_dropping_anything() -> None:
    asked = replace(LOUD, email_enabled=True)
    assert [of(channel, asked) for channel in CHANNELS] == [Decision.DELIVER, Decision.NOT_YET, Decision.NOT_YET]


@pytest.mark.parametrize("name", [name for name in FIELDS if name.startswith("notify_")])
def test_every_flag_mutes_something(name: str) -> None:
    events = {
        "notify_service_events": "service_started",
        "notify_trading_events": "order_placed",
        "notify_system_events": "system_warning",
        "notify_errors": "system_error",
        "notify_system_errors": "system_error",
        "notify_system_warnings": "system_warning",
    }
    event = events.get(name, name.removeprefix("notify_"))
    type_ = Notice(1, event, "info", "t", "m", "k").type
    everything: dict[str, Any] = {flag: True for flag in FIELDS if flag.startswith("notify_")}
    assert is_wanted(Preferences(**everything), type_, event, "info")
    assert not is_wanted(Preferences(**everything | {name: False}), type_, event, "info")


def test_an_event_without_a_flag_of_its_own_goes_by_its_kind() -> None:
    assert is_wanted(Preferences(), "trading", "order_skipped", "info")
    assert not is_wanted(Preferences(notify_trading_events=False), "trading", "order_skipped", "info")


def test_a_warning_of_the_system_that_is_an_error_goes_by_the_flag_of_errors() -> None:
    assert of("in_app", Preferences(), "system_warning", "warning") == Decision.MUTED
    assert of("in_app", Preferences(), "system_warning", "error") == Decision.DELIVER
    assert of("in_app", Preferences(notify_system_errors=False), "system_warning", "error") == Decision.MUTED
