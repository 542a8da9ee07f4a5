"""A replay that cannot be run is refused before anything is started, with the cure."""

import asyncio
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

import pytest

from adapters.prices.base import PriceSourceError
from ops.replay.plan import DEFAULT_SESSIONS, LEAST_HISTORY, Plan, ReplayError, Request, exchange_calendar, make_plan

CALENDAR = exchange_calendar()


def plan(**asked: object) -> Plan:
    return asyncio.run(make_plan(Request(**asked)))  # type: ignore[arg-type]


def write_folder(folder: Path, days: Sequence[date], bad: str = "") -> Path:
    lines = ["date,open,high,low,close,volume", *(f"{day},100,101,99,100,1000" for day in days)]
    (folder / "INFY.csv").write_text("\n".join([*lines, bad]) + "\n")
    return folder


def sessions(first: date, last: date) -> list[date]:
    return [session.day for session in CALENDAR.sessions_between(first, last)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path, sessions(date(2022, 1, 1), date(2023, 12, 29)))


def test_without_wishes_it_is_the_last_sixty_sessions_of_2025_with_five_years_before() -> None:
    made = plan()
    assert len(made.sessions) == DEFAULT_SESSIONS
    assert made.sessions[-1].day == date(2025, 12, 31)
    days = {bar.day for bar in made.history}
    assert (min(days).year, max(days)) == (2020, CALENDAR.previous_session(made.sessions[0].day).day)
    assert len({bar.symbol for bar in made.history}) >= 100
    assert made.prices == "simulated:7"
    assert made.prices_name == "simulated (seed 7)"
    assert made.warnings == []


def test_the_clock_begins_before_the_first_slot_and_ends_after_the_last() -> None:
    made = plan(first=date(2025, 12, 22), last=date(2025, 12, 24))
    assert made.sessions[0].opens - made.begins_at == timedelta(minutes=41)
    assert made.ends_at - made.sessions[-1].closes == timedelta(hours=3)


def test_days_without_a_session_move_inwards() -> None:
    made = plan(first=date(2025, 12, 20), last=date(2025, 12, 28))
    assert [made.sessions[0].day, made.sessions[-1].day] == [date(2025, 12, 22), date(2025, 12, 26)]


def test_a_folder_is_replayed_to_its_end(folder: Path) -> None:
    made = plan(data=str(folder))
    assert made.sessions[-1].day == date(2023, 12, 29)
    assert len(made.sessions) == DEFAULT_SESSIONS
    assert max(bar.day for bar in made.history) < made.sessions[0].day
    assert made.prices == f"folder:{folder.resolve()}"


def test_a_folder_is_named_so_that_any_process_finds_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    assert plan(data=folder.name).prices == f"folder:{folder.resolve()}"


def test_bad_rows_are_kept_for_the_report(tmp_path: Path) -> None:
    write_folder(tmp_path, sessions(date(2022, 1, 1), date(2023, 12, 29)), bad="2023-12-30,nan,1,1,1,1")
    assert [row.file for row in plan(data=str(tmp_path)).bad_rows] == ["INFY.csv"]


def test_little_history_is_a_warning(folder: Path) -> None:
    made = plan(data=str(folder), first=date(2022, 2, 1), last=date(2022, 2, 28))
    assert len({bar.day for bar in made.history}) < LEAST_HISTORY
    assert "begin later" in made.warnings[0]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"first": date(2014, 12, 31)}, "--from 2014-12-31: the calendar covers"),
        ({"last": date(2030, 1, 1)}, "--to 2030-01-01: the calendar covers"),
        ({"first": date(2025, 5, 5), "last": date(2025, 5, 1)}, "is after"),
        ({"first": date(2025, 10, 4), "last": date(2025, 10, 5)}, "no session in between"),
    ],
)
def test_a_period_that_cannot_be_is_refused(asked: dict[str, object], said: str) -> None:
    with pytest.raises(ReplayError, match=said):
        plan(**asked)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"last": date(2024, 6, 3)}, "the data ends on 2023-12-29"),
        ({"first": date(2024, 6, 3)}, "the data ends on 2023-12-29"),
        ({"first": date(2022, 1, 3)}, "the data begins on 2022-01-03"),
        ({"last": date(2021, 6, 1)}, "the data begins on 2022-01-03"),
    ],
)
def test_a_period_without_data_is_refused(folder: Path, asked: dict[str, object], said: str) -> None:
    with pytest.raises(ReplayError, match=said):
        plan(data=str(folder), **asked)


def test_a_folder_that_is_not_there_is_refused() -> None:
    with pytest.raises(PriceSourceError, match="is not a folder"):
        plan(data="/nowhere/at/all")


def test_data_of_which_no_row_can_be_used_is_refused_naming_the_first_bad_row(tmp_path: Path) -> None:
    (tmp_path / "INFY.csv").write_text("date,open,high,low,close,volume\n2024-01-02,1,1,1,NaN,5\n")
    with pytest.raises(ReplayError, match=r"1 were refused, first INFY\.csv:2: "):
        asyncio.run(make_plan(Request(data=str(tmp_path))))
