"""The bars: shown as they are, and loaded twice as once."""

import time
from datetime import UTC, datetime
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
