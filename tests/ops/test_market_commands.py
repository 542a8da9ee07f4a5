"""The calendar and the bars: shown as they are, changed whole or not at all, and by somebody."""

from importlib.resources import files
from pathlib import Path

import pytest

from config.servers import ServerUrls
from db.transaction import Database
from tests.ops.cli_runs import Commands
from tests.people import scalar

_BARS = "date,open,high,low,close,volume\n2024-01-01,1,2,1,2,100\n2024-01-02,2,3,2,3,100\n"


@pytest.fixture
def muhurat(urls: ServerUrls, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Commands:
    return Commands(urls, monkeypatch, capsys)


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    return _shipped_to(tmp_path / "calendar.csv")


def _shipped_to(path: Path, old: str = "", new: str = "") -> Path:
    """Write the calendar that we ship, with one text put in place of another or, without one, at its end."""
    text = (files("db") / "nse_calendar.csv").read_text(encoding="utf-8")
    path.write_text(text.replace(old, new) if old else text + new, encoding="utf-8")
    return path


async def test_closed_weekdays_and_special_sessions_of_a_span_are_shown(database: Database, muhurat: Commands) -> None:
    found = await muhurat.json("calendar", "show", "--from", "2025-10-20", "--to", "2025-10-26")
    assert [(day["day"], day["kind"]) for day in found["unusual"]] == [
        ("2025-10-21", "special"),
        ("2025-10-22", "closed"),
    ]
    assert found["sessions"] == 4


async def test_an_imported_calendar_says_what_changed_and_who_did_it(
    database: Database, muhurat: Commands, shipped: Path
) -> None:
    same = await muhurat.json("calendar", "import", str(shipped), "--as", "ravi")
    assert (same["added"], same["removed"], same["other_hours"]) == (0, 0, 0)
    _shipped_to(shipped, "2025-10-22,holiday", "2025-10-23,holiday")
    moved = await muhurat.json("calendar", "import", str(shipped), "--as", "ravi")
    assert (moved["added"], moved["removed"]) == (1, 1)
    assert await scalar(database, "SELECT count(*) FROM audit_logs WHERE actor = 'ravi'") == 2
    _shipped_to(shipped)
    await muhurat.json("calendar", "import", str(shipped), "--as", "ravi")


async def test_a_calendar_with_a_bad_line_changes_nothing(database: Database, muhurat: Commands, shipped: Path) -> None:
    before = await scalar(database, "SELECT count(*) FROM market_sessions")
    _shipped_to(shipped, new="2026-13-01,holiday,,,,\n")
    said = await muhurat("calendar", "import", str(shipped), "--as", "ravi", code=2)
    assert "line " in said
    assert await scalar(database, "SELECT count(*) FROM market_sessions") == before


async def test_bars_load_twice_as_once_and_their_coverage_is_told(
    database: Database, muhurat: Commands, tmp_path: Path
) -> None:
    for name in ("INFY", "TCS"):
        (tmp_path / f"{name}.csv").write_text(_BARS)
    (tmp_path / "WIPRO.csv").write_text(_BARS.rsplit("\n", 2)[0] + "\n")
    for _ in range(2):
        done = await muhurat.json(
            "prices", "load", str(tmp_path), "--from", "2024-01-01", "--to", "2024-01-05", "--as", "ravi"
        )
        assert (done["bars"], done["symbols"], done["last_day"]) == (5, 3, "2024-01-02")
    assert await scalar(database, "SELECT count(*) FROM bars") == 5
    status = await muhurat.json("prices", "status")
    assert (status["last_whole_day"], status["last_day"]) == ("2024-01-01", "2024-01-02")
    assert "the last whole day is" in await muhurat("prices", "status")


async def test_without_bars_the_status_says_how_to_get_some(database: Database, muhurat: Commands) -> None:
    assert "muhurat prices load" in await muhurat("prices", "status")
