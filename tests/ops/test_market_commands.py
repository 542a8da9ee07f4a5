"""The calendar and the bars: shown as they are, changed whole or not at all, and by somebody."""

import time
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

import pytest

from config.servers import ServerUrls
from db.transaction import Database
from ops.cli.market_commands import exchange_today
from tests.ops.cli_runs import Commands
from tests.people import scalar
from trading.calendar import exchange_day

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
    assert [(day["day"], day["kind"], day["name"]) for day in found["unusual"]] == [
        ("2025-10-21", "special", "Muhurat session"),
        ("2025-10-22", "closed", "Diwali Balipratipada"),
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


@pytest.mark.parametrize("command", [("calendar", "show"), ("prices", "load", "simulated:7", "--as", "ravi")])
async def test_a_span_that_ends_before_it_begins_is_bad_input(
    database: Database, muhurat: Commands, command: tuple[str, ...]
) -> None:
    said = await muhurat(*command, "--from", "2024-02-01", "--to", "2024-01-01", code=2)
    assert "2024-02-01 is after 2024-01-01: give --from and --to in order" in said
    assert "'--from'" in await muhurat(*command, "--from", "0001-01-01", code=2)
    assert "'--to'" in await muhurat(*command, "--to", "0001-01-01", code=2)


async def test_a_load_that_finds_no_bars_fails_with_what_it_looked_for(
    database: Database, muhurat: Commands, tmp_path: Path
) -> None:
    (tmp_path / "INFY.csv").write_text(_BARS)
    words = ("prices", "load", str(tmp_path), "--from", "2025-01-01", "--to", "2025-01-31", "--as", "ravi")
    assert "has no bars from 2025-01-01 to 2025-01-31" in await muhurat(*words, code=1)
    assert '"bars": 0' in await muhurat(*words, "--json", code=1, out=True)


@pytest.mark.parametrize("zone", ["Etc/GMT+12", "Etc/GMT-14"])  # the two never have one date
def test_today_is_the_exchanges_day_wherever_the_machine_stands(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = exchange_day(datetime.now(UTC))  # noqa: TID251 - what is asked is the clock
    with monkeypatch.context() as patch:
        patch.setenv("TZ", zone)
        time.tzset()
        today = exchange_today()
    time.tzset()
    assert before <= today <= exchange_day(datetime.now(UTC))  # noqa: TID251 - the same
