"""A calendar is shown as it is, compared, and changed whole or not at all, by somebody who saw what it changes."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from importlib.resources import files
from io import StringIO
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from config.servers import ServerUrls
from db.calendar import CalendarRepository
from db.transaction import Database
from ops.doctor import _calendar
from tests.ops.cli_runs import Commands
from tests.people import replay_from, scalar, set_clock
from trading.calendar_file import named_days, read_calendar

HOURS = "# hours: post-close all 15:50-16:00 from 2026-08-03 source NSE, closing auction session from 2026-08-03\n"
COUNTED = "SELECT count(*) FROM market_sessions"
STORED = "SELECT md5(string_agg(s::text, '' ORDER BY day)) || max(loaded_at) FROM market_sessions s, market_calendars"


@pytest.fixture
def muhurat(urls: ServerUrls, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Commands:
    return Commands(urls, monkeypatch, capsys)


def _text() -> str:
    return (files("db") / "nse_calendar.csv").read_text(encoding="utf-8")


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    return _shipped_to(tmp_path / "calendar.csv")


@pytest.fixture
async def restored(database: Database) -> AsyncIterator[None]:
    """Whatever a test imports, the calendar that we ship is there again at its end."""
    yield
    async with database.transaction(None) as session:
        await CalendarRepository(session).replace(read_calendar(_text()), "a test", named_days(_text()))


def _shipped_to(path: Path, old: str = "", new: str = "") -> Path:
    """Write the calendar that we ship, with one text put in place of another or, without one, at its end."""
    assert old in _text()
    path.write_text(_text().replace(old, new) if old else _text() + new, encoding="utf-8")
    return path


def _written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


async def _import(muhurat: Commands, file: Path, *words: str) -> dict[str, object]:
    found: dict[str, object] = await muhurat.json("calendar", "import", str(file), "--as", "ravi", *words)
    return found


async def test_closed_weekdays_and_special_sessions_of_a_span_are_shown(database: Database, muhurat: Commands) -> None:
    found = await muhurat.json("calendar", "show", "--from", "2025-10-20", "--to", "2025-10-26")
    assert [(day["day"], day["kind"], day["name"]) for day in found["unusual"]] == [
        ("2025-10-21", "special", "Muhurat session"),
        ("2025-10-22", "closed", "Diwali Balipratipada"),
    ]
    assert found["sessions"] == 4


async def test_the_hours_of_each_phase_are_shown_with_validity_and_source(
    database: Database, muhurat: Commands
) -> None:
    found = await muhurat.json("calendar", "show")
    post_close = [
        (one["opens"], one["valid_from"], one["valid_to"]) for one in found["hours"] if one["phase"] == "post-close"
    ]
    assert post_close == [("15:40", "2015-01-01", "2026-08-02"), ("15:50", "2026-08-03", None)]
    assert all(one["source"] for one in found["hours"])
    assert "closing-auction" in await muhurat("calendar", "show")


async def test_an_imported_calendar_says_what_changed_and_who_did_it(
    database: Database, muhurat: Commands, shipped: Path, restored: None
) -> None:
    same = await _import(muhurat, shipped)
    assert (same["added"], same["removed"], same["other_hours"], same["other_phases"]) == (0, 0, 0, 0)
    _shipped_to(shipped, "2025-10-22,holiday", "2025-10-23,holiday")
    moved = await _import(muhurat, shipped, "--yes")
    assert (moved["added"], moved["removed"]) == (1, 1)
    assert await scalar(database, "SELECT count(*) FROM audit_logs WHERE actor = 'ravi'") == 2


async def test_what_an_import_would_change_in_the_next_30_days_is_shown_and_nothing_done(
    database: Database, muhurat: Commands, shipped: Path
) -> None:
    await replay_from(database)
    await set_clock(database, datetime(2026, 11, 2, 2, tzinfo=UTC))
    before = await scalar(database, STORED)
    other_evening = _text().replace("2026-11-08,special,18:00,19:15", "2026-11-08,special,17:00,18:15")
    _written(shipped, other_evening.replace("2026-11-24,holiday", "2026-11-25,holiday"))
    found = await muhurat.json("calendar", "import", str(shipped), "--dry-run")
    assert [(day["day"], day["change"]) for day in found["days"]] == [
        ("2026-11-08", "other hours"), ("2026-11-24", "added"), ("2026-11-25", "removed"),
    ]  # fmt: skip
    moved = {one["schedule"]: one for one in found["schedules"]}
    assert moved["buy_orders"]["first_gone"][0] == "2026-11-08T14:20:00+00:00"
    assert moved["buy_orders"]["first_new"][0] == "2026-11-08T13:20:00+00:00"
    assert "retention" not in moved, "what fires every day does not move"
    said = await muhurat("calendar", "import", str(shipped), "--dry-run")
    assert "nothing was done" in said
    assert await scalar(database, STORED) == before


async def test_without_a_terminal_a_change_needs_a_yes(database: Database, muhurat: Commands, shipped: Path) -> None:
    before = await scalar(database, STORED)
    _shipped_to(shipped, "2025-10-22,holiday", "2025-10-23,holiday")
    said = await muhurat("calendar", "import", str(shipped), "--as", "ravi", code=2)
    assert "give --yes to take it, or --dry-run to see" in said
    assert await scalar(database, STORED) == before


class _Terminal(StringIO):
    """A terminal at which somebody types."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("typed", "code", "added"), [("n\n", 1, 0), ("y\n", 0, 1)])
async def test_at_a_terminal_the_change_is_asked_for(
    database: Database, muhurat: Commands, shipped: Path, restored: None, typed: str, code: int, added: int
) -> None:
    before = await scalar(database, COUNTED)
    _shipped_to(shipped, "2025-10-22,holiday,,,Diwali Balipratipada,exchange_calendars 4.13.2 XBOM\n")
    muhurat.patch.setattr("sys.stdin", _Terminal(typed))
    await muhurat("calendar", "import", str(shipped), "--as", "ravi", code=code)
    assert isinstance(before, int)
    assert await scalar(database, COUNTED) == before + added


async def test_hours_that_change_plan_nothing_else_and_are_told_by_day(
    database: Database, muhurat: Commands, shipped: Path, restored: None
) -> None:
    changed = _text().replace(HOURS, HOURS.replace("15:50-16:00", "15:55-16:05"))
    _written(shipped, changed)
    found = await muhurat.json("calendar", "diff", str(shipped), "--from", "2026-07-30", "--to", "2026-08-04")
    assert [(day["day"], day["change"], day["phases"]) for day in found["days"]] == [
        (day, "other phases", "post-close all 15:55-16:05, was 15:50-16:00") for day in ("2026-08-03", "2026-08-04")
    ]
    lines = (await muhurat("calendar", "diff", str(shipped), "--from", "2026-07-30", "--to", "2026-08-04")).splitlines()
    (told,) = [line for line in lines if line.startswith("│ 2026-")]
    assert all(part in told for part in ("2026-08-03", "2026-08-04", "2 │ other phases"))
    done = await _import(muhurat, shipped, "--yes")
    assert (done["added"], done["removed"], done["other_hours"]) == (0, 0, 0)
    async with database.reading(None) as session:
        stored = await CalendarRepository(session).load()
    assert stored.timetable.hours == read_calendar(changed).timetable.hours


async def test_a_file_without_phases_keeps_those_that_are_stored(
    database: Database, muhurat: Commands, shipped: Path, restored: None
) -> None:
    lines = [line for line in _text().splitlines() if not line.startswith("# hours:")]
    _written(shipped, "\n".join(["# regular: 09:15-15:30", *lines]) + "\n")
    done = await _import(muhurat, shipped, "--yes")
    assert done["other_phases"] == 0
    async with database.reading(None) as session:
        stored = await CalendarRepository(session).load()
    assert len(stored.timetable.hours) == len(read_calendar(_text()).timetable.hours)


async def test_two_files_are_compared_without_a_calendar_that_is_stored(
    database: Database, muhurat: Commands, shipped: Path, tmp_path: Path
) -> None:
    other = _shipped_to(tmp_path / "other.csv", "2025-10-22,holiday", "2025-10-23,holiday")
    found = await muhurat.json("calendar", "diff", str(other), str(shipped))
    assert [(day["day"], day["change"]) for day in found["days"]] == [
        ("2025-10-22", "added"),
        ("2025-10-23", "removed"),
    ]
    assert "added" in await muhurat("calendar", "diff", str(other), str(shipped))


REFUSED = [
    ("2015-01-01..2026-12-31", "2015-01-01..2026-06-30", "keep days from"),  # rows beyond it
    ("# exchange: NSE", "# exchange: BSE", "give the calendar of NSE, or --exchange BSE"),
    ("# coverage: 2015-01-01..2026-12-31", "# coverage: 2014-12-30..2014-12-31\n# coverage: 2015-01-02..2026-12-31",
     "the coverage has a gap between 2014-12-31 and 2015-01-02"),
    ("2026-12-25,holiday,,,Christmas", "2026-12-25,holiday,,,a,b\n2026-12-25,holiday,,,Christmas", "is there twice"),
    ("2026-11-08,special,18:00,19:15", "2026-11-08,special,19:15,18:00", "the end lies before the start"),
    ("15:15-15:35 from", "15:10-15:35 from", "phases overlap on 2026-08-03 for fno"),
    (" to 2026-08-02", " to 2026-08-01", "have a gap from 2026-08-02 to 2026-08-02"),
    (" to 2026-08-02", "", "overlap: from 2015-01-01 on, and from 2026-08-03"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "problem"), REFUSED)
async def test_a_calendar_that_does_not_fit_is_refused_and_nothing_changes(
    database: Database, muhurat: Commands, shipped: Path, old: str, new: str, problem: str
) -> None:
    before = await scalar(database, STORED)
    _shipped_to(shipped, old, new)
    said = await muhurat("calendar", "import", str(shipped), "--as", "ravi", "--yes", code=2)
    assert problem in said
    assert await scalar(database, STORED) == before


async def test_a_calendar_that_covers_less_is_refused_unless_somebody_insists(
    database: Database, muhurat: Commands, shipped: Path, restored: None
) -> None:
    kept = [line for line in _text().splitlines() if not line.startswith("2026-")]
    _written(shipped, "\n".join(kept).replace("..2026-12-31", "..2025-12-31") + "\n")
    words = ("calendar", "import", str(shipped), "--as", "ravi", "--yes")
    said = await muhurat(*words, code=2)
    assert "2015-01-01..2025-12-31 is less than what is stored (2015-01-01..2026-12-31)" in said
    assert "cover at least that, like # coverage: 2015-01-01..2026-12-31; or insist with --shrink" in said
    assert json.loads(await muhurat(*words, "--shrink", "--json"))["removed"] > 200


async def test_a_calendar_behind_a_gap_is_refused_whoever_insists(
    database: Database, muhurat: Commands, tmp_path: Path
) -> None:
    file = tmp_path / "later.csv"
    head = "# exchange: NSE\n# coverage: 2027-02-01..2027-12-31\n# regular: 09:15-15:30\n"
    _written(file, head + "day,kind,opens,closes,name,source\n")
    said = await muhurat("calendar", "import", str(file), "--as", "ravi", "--yes", "--shrink", code=2)
    assert "leaves a gap to what is stored" in said


async def test_another_exchange_has_its_own_calendar_and_moves_no_schedule_of_nse(
    database: Database, muhurat: Commands, tmp_path: Path
) -> None:
    planned = "SELECT string_agg(name || next_due_at, ',' ORDER BY name) FROM schedules"
    before = await scalar(database, planned), await scalar(database, "SELECT count(*) FROM market_sessions")
    file = _shipped_to(tmp_path / "bse.csv", "# exchange: NSE", "# exchange: BSE")
    done = await _import(muhurat, file, "--exchange", "BSE", "--yes")
    shown = await muhurat.json("calendar", "show", "--exchange", "BSE")
    assert (done["exchange"], shown["exchange"], shown["last"]) == ("BSE", "BSE", "2026-12-31")
    assert await scalar(database, planned) == before[0]
    async with database.transaction(None) as session:
        for table in ("market_calendars", "market_sessions", "market_days", "market_hours"):
            await session.execute(text(f"DELETE FROM {table} WHERE exchange = 'BSE'"))
    assert await scalar(database, "SELECT count(*) FROM market_sessions") == before[1]


async def test_a_calendar_with_a_bad_line_changes_nothing(database: Database, muhurat: Commands, shipped: Path) -> None:
    before = await scalar(database, STORED)
    _shipped_to(shipped, new="2026-13-01,holiday,,,,\n")
    said = await muhurat("calendar", "import", str(shipped), "--as", "ravi", code=2)
    assert "line " in said
    assert await scalar(database, STORED) == before


async def test_a_calendar_that_is_no_utf8_text_is_bad_input_naming_its_line(
    database: Database, muhurat: Commands, tmp_path: Path
) -> None:
    file = tmp_path / "calendar.csv"
    file.write_bytes(b"# exchange: NSE\n# caf\xe9\n")
    said = await muhurat("calendar", "import", str(file), "--as", "ravi", code=2)
    assert "calendar.csv, line 2, is no UTF-8 text: save the file as UTF-8" in said


@pytest.mark.parametrize("words", [("--from", "2030-01-01"), ("--from", "2030-01-01", "--to", "2030-02-01")])
async def test_days_beyond_the_calendar_are_refused_for_that(
    database: Database, muhurat: Commands, words: tuple[str, ...]
) -> None:
    said = await muhurat("calendar", "show", *words, code=2)
    assert "no calendar for 2030-01-01: it covers 2015-01-01 to 2026-12-31" in said


async def test_a_span_that_only_says_its_end_begins_with_that_year(database: Database, muhurat: Commands) -> None:
    found = await muhurat.json("calendar", "show", "--to", "2024-02-01")
    assert (found["from"], found["to"]) == ("2024-01-01", "2024-02-01")


async def _end_in(session: AsyncSession, days: int) -> None:
    """Let the calendar end so many days after today, which in India begins in the evening of Europe."""
    last = f"(now() AT TIME ZONE 'Asia/Kolkata')::date + {days}"
    await session.execute(text(f"UPDATE market_calendars SET last_day = {last}"))
    await session.execute(text(f"DELETE FROM market_sessions WHERE day > {last}"))


async def test_the_status_and_the_doctor_warn_before_the_calendar_ends(database: Database, muhurat: Commands) -> None:
    await replay_from(database, datetime(2026, 11, 25, 5, tzinfo=UTC))
    assert (await muhurat.json("status"))["calendar_warning"] is None
    await set_clock(database, datetime(2026, 12, 21, 5, tzinfo=UTC))
    warning = "the calendar of NSE ends on 2026-12-31, in 10 days, and then nothing trades"
    assert warning in (await muhurat.json("status"))["calendar_warning"]
    assert warning in await muhurat("status")
    async with database.transaction(None) as session:
        await _end_in(session, 10)
        (found,) = await _calendar(session)
        await session.rollback()
    assert (found.state, "in 10 days" in found.said) == ("warning", True)


async def test_the_doctor_finds_hours_that_somebody_put_into_each_other(database: Database) -> None:
    async with database.transaction(None) as session:
        await _end_in(session, 60)
        (sound,) = await _calendar(session)
        await session.execute(text("UPDATE market_hours SET closes = '09:20' WHERE phase = 'preopen'"))
        (broken,) = await _calendar(session)
        await session.execute(text("UPDATE market_hours SET closes = '15:00' WHERE phase = 'open' AND segment = 'all'"))
        (other,) = await _calendar(session)
        await session.rollback()
    assert sound.state == "ok"
    assert (other.state, "2015-01-01 is open 09:15-15:30, its hours are continuous all" in other.said) == (
        "failed",
        True,
    )
    assert (broken.state, "continuous begins 09:15, pre-open ends 09:20" in broken.said) == ("failed", True)
